"""Images in, a measured mesh out: the whole job on a tiny scene, and what must not pass for it."""

import importlib.util
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import trimesh

from neural_sdf import experiment
from neural_sdf.export import MeshSummary
from neural_sdf.geometry import Similarity
from neural_sdf.training import Checkpoints

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


class Outcome(NamedTuple):
    metrics: dict[str, Any]
    summary: MeshSummary


def quickstart():
    spec = importlib.util.spec_from_file_location("quickstart", ROOT / "configs/quickstart.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = module.get_config()
    config.data.downscale = 4
    return config


def tiny_config(**weights: float):
    config = quickstart()
    config.field.width = 64
    config.field.depth = 3
    config.field.skip = 0
    config.field.num_features = 16
    config.field.radiance_width = 64
    config.field.radiance_depth = 2
    config.train.steps = 300
    config.train.batch_size = 512
    config.train.learning_rate = 1e-3
    config.train.warmup = 20
    config.train.checkpoint_every = 300
    config.train.log_every = 100
    config.train.weights.update(weights)
    return config


def measured(workdir: Path) -> Outcome:
    metrics = experiment.evaluate(workdir, resolution=64)
    return Outcome(metrics, experiment.export_mesh(workdir, workdir / "mesh.glb", resolution=64))


def failures(outcome: Outcome) -> set[str]:
    """What is not good enough; a full run does far better (configs/quickstart.py)."""
    metrics, summary = outcome
    passed = {
        "mask IoU": metrics["mask_iou"] > 0.89,
        "Chamfer": metrics["chamfer_relative"] < 0.03,
        "one watertight piece": summary.watertight and summary.num_components == 1,
    }
    return {name for name, good in passed.items() if not good}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, Outcome]:
    workdir = tmp_path_factory.mktemp("trained")
    experiment.train(tiny_config(), workdir)
    return workdir, measured(workdir)


def test_training_on_images_finds_the_shape(trained):
    assert not failures(trained[1])


@pytest.mark.parametrize("config_of", [tiny_config, quickstart])
def test_untrained_field_fails_the_same_thresholds(tmp_path, config_of):
    config = config_of()
    (tmp_path / "config.json").write_text(config.to_json_best_effort())
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    frame = Similarity(np.array(8.0), np.eye(3), np.array([0.0, 0.0, 3.4]))
    checkpoints.save(experiment.build(config).init(), frame)
    checkpoints.close()
    outcome = measured(tmp_path)
    assert outcome.metrics["step"] == 0
    assert outcome.metrics["mask_iou"] < 0.8
    assert outcome.metrics["chamfer_relative"] > 0.05
    assert failures(outcome) >= {"mask IoU", "Chamfer"}


def test_training_without_the_eikonal_term_fails_the_same_thresholds(tmp_path):
    experiment.train(tiny_config(eikonal=0.0), tmp_path)
    assert failures(measured(tmp_path)) >= {"mask IoU", "one watertight piece"}


@pytest.mark.parametrize("suffix", [".glb", ".ply"])
def test_mesh_file_holds_the_surface_in_world_units(trained, suffix):
    workdir, outcome = trained
    experiment.export_mesh(workdir, workdir / f"again{suffix}", resolution=64)
    mesh = trimesh.load(workdir / f"again{suffix}", force="mesh")
    assert isinstance(mesh, trimesh.Trimesh)
    assert mesh.is_watertight
    assert mesh.volume > 0  # outward
    np.testing.assert_allclose(mesh.bounds, outcome.summary[-2:], atol=1e-4)
    # The saucer: 0.74 scene units in radius, 8 cm a unit.
    np.testing.assert_allclose(mesh.extents[:2], 2 * 0.74 * 8, rtol=0.1)
    if suffix == ".ply":  # trimesh does not give back the colours of a GLB
        assert np.asarray(mesh.visual.vertex_colors)[:, :3].std(axis=0).min() > 5


def test_evaluation_leaves_its_numbers_and_one_strip_a_held_out_view(trained):
    workdir, outcome = trained
    names = {view["name"] for view in outcome.metrics["per_view"]}
    assert {path.stem for path in (workdir / "eval").glob("*.png")} == names
    assert len(names) == outcome.metrics["num_views"] == 8
    assert (workdir / "eval/metrics.json").is_file()
