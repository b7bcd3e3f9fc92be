"""What is made of a trained run, and what is refused."""

from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from jax.experimental.compilation_cache import compilation_cache

from neural_sdf.experiment import relight
from neural_sdf.experiment.build import build
from neural_sdf.experiment.evaluate import evaluate
from neural_sdf.experiment.export import export_mesh
from neural_sdf.experiment.workdir import load_trained
from neural_sdf.export import read_mesh, write_mesh
from neural_sdf.mistake import Doubt, Mistake
from neural_sdf.training import Checkpoints
from tests.experiment.tiny import FEW, synthetic


@pytest.mark.parametrize(
    "work",
    [evaluate, lambda w: export_mesh(w, w / "mesh.ply")],
    ids=["evaluate", "export"],
)
def test_workdir_that_is_not_one_is_refused(tmp_path, work):
    with pytest.raises(Mistake, match=r"no config.json in .*; set workdir"):
        work(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "work",
    [evaluate, lambda w: export_mesh(w, w / "mesh.ply")],
    ids=["evaluate", "export"],
)
def test_empty_checkpoint_folder_is_one_message_and_nothing_is_written(finished, tmp_path, work):
    (tmp_path / "config.json").write_bytes((finished / "config.json").read_bytes())
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(Mistake, match=r"no checkpoint in .*checkpoints; .*train first"):
        work(tmp_path)
    assert {path.name for path in tmp_path.rglob("*")} == {"config.json", "checkpoints"}


@pytest.fixture
def programs(tmp_path) -> Iterator[Path]:
    """The folder that this process keeps its compiled programs in meanwhile."""
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = [getattr(jax.config, name) for name in names]

    def keep(*values: object) -> None:
        for name, value in zip(names, values, strict=True):
            jax.config.update(name, value)
        compilation_cache.reset_cache()

    keep(str(tmp_path / "programs"), 0.0)
    yield tmp_path / "programs"
    keep(*before)


@pytest.mark.slow
def test_programs_serve_every_checkpoint(finished, programs, tmp_path):
    """None has the parameters of one baked in, so that the second compiles nothing."""

    def use(step: int) -> set[str]:
        evaluate(finished, step=step, resolution=16)
        export_mesh(finished, tmp_path / "mesh.ply", resolution=16, step=step)
        settings = {"radiance": "albedo", "step": step, **FEW}
        relight.render_trained(finished, tmp_path / "picture.png", **settings)
        return {path.name for path in programs.glob("*-cache")}

    first = use(4)
    assert len(first) > 5 and use(2) == first


@pytest.mark.parametrize("content", [b'{"seed": 0, "da', b'{"seed": "\xff"}', b"[" * 100_000])
def test_config_file_that_is_no_json_is_refused(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(Mistake, match=r"config.json is not JSON .*; expected what training"):
        evaluate(tmp_path)


@pytest.mark.parametrize("text", ["{}", "[]", "null", '{"field": {}}', '{"field": {"width": 16}}'])
def test_config_file_that_names_no_field_is_refused(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(Mistake, match=r"config.json names no field; expected what training"):
        evaluate(tmp_path)


def test_step_that_was_not_saved_is_answered_with_those_that_were(finished):
    with pytest.raises(Mistake, match=r"step 3 .*; it has \[2, 4\]"):
        evaluate(finished, step=3)


def test_reference_that_is_missing_is_named(finished):
    with pytest.raises(Mistake, match=r"no_such_mesh\.ply"):
        evaluate(finished, reference=finished / "no_such_mesh.ply")


def test_reference_in_other_units_is_doubted(finished, tmp_path):
    export_mesh(finished, tmp_path / "mesh.ply", resolution=16)
    mesh = read_mesh(tmp_path / "mesh.ply")
    write_mesh(tmp_path / "mm.ply", mesh._replace(vertices=1000 * mesh.vertices))
    with pytest.warns(Doubt, match="the same units and frame"):
        evaluate(finished, reference=tmp_path / "mm.ply", resolution=16)


def test_field_without_a_surface_is_refused_at_export_and_leaves_no_file(finished, tmp_path):
    config = synthetic()
    state = build(config).init(40)
    outside = jax.tree.map(jnp.zeros_like, state.params)
    outside["field"]["geometry"]["distance_layer"]["bias"] += 1.0
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    frame = load_trained(finished).world_from_scene
    checkpoints.save(state._replace(params=outside), frame, 40)
    checkpoints.close()
    (tmp_path / "config.json").write_text(config.to_json_best_effort())
    with pytest.raises(Mistake, match=r"no surface .* train longer"):
        export_mesh(tmp_path, tmp_path / "mesh.glb", resolution=16)
    assert not (tmp_path / "mesh.glb").exists()


@pytest.mark.parametrize("resolution", [1, 0, -5])
def test_mesh_of_less_than_two_cells_is_refused(finished, tmp_path, resolution):
    with pytest.raises(Mistake, match=f"resolution is {resolution}; expected at least 2"):
        export_mesh(finished, tmp_path / "mesh.ply", resolution=resolution)
    assert not list(tmp_path.iterdir())


def test_unknown_mesh_suffix_is_refused_before_anything_is_loaded(tmp_path):
    with pytest.raises(Mistake, match=r"\.xyz"):
        export_mesh(tmp_path, tmp_path / "mesh.xyz")
