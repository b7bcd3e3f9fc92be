"""A run far from the origin of its world loses nothing of what it learned there."""

import numpy as np
import pytest

from neural_sdf.experiment.evaluate import evaluate
from neural_sdf.experiment.export import export_mesh
from neural_sdf.experiment.photos import check_same_frame
from neural_sdf.experiment.train import train
from neural_sdf.experiment.workdir import load_trained
from neural_sdf.export import extract_mesh, read_mesh, write_mesh
from neural_sdf.geometry import Similarity
from neural_sdf.mistake import Mistake
from tests.experiment.tiny import config_of
from tests.photos.layouts import take_photos, write_transforms

PLACE = np.array([500_000.0, 4_600_000.0, 120.0])
FRAME = Similarity(np.array(1.25), np.eye(3), PLACE)
CELLS = 16


def test_another_region_a_millionth_of_a_northing_away_is_not_taken_for_the_same():
    check_same_frame(FRAME._replace(translation=PLACE + 1e-8), FRAME, "runs/a")
    moved = FRAME._replace(translation=np.add(PLACE, [0, 0.5, 0]))
    with pytest.raises(Mistake, match=r"about \(500000, 4600000, 120\).*4600000\.5, 120\)"):
        check_same_frame(moved, FRAME, "runs/a")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A workdir of a few steps on photos taken there."""
    folder, photos = tmp_path_factory.mktemp("far"), take_photos()
    poses = photos.poses.copy()
    poses[:, :3, 3] += PLACE
    write_transforms(folder / "photos", photos._replace(poses=poses))
    train(config_of("photos", data__path=str(folder / "photos")), folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def truth(run):
    """Corners of the trained surface in the world, by float64 alone, and a cell's size."""
    trained = load_trained(run)
    scale, rotation, place = (np.asarray(x, np.float64) for x in trained.world_from_scene)
    mesh = extract_mesh(trained.field.sdf, trained.params["field"], resolution=CELLS)
    return (scale * mesh.vertices @ rotation.T + place)[mesh.faces], 2 * float(scale) / CELLS


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".glb"])
def test_the_exported_file_is_the_trained_surface_and_its_extent_is_printed(
    suffix, run, truth, tmp_path, capsys
):
    corners, cell = truth
    summary = export_mesh(run, tmp_path / f"mesh{suffix}", resolution=CELLS)
    back = read_mesh(tmp_path / f"mesh{suffix}")
    np.testing.assert_allclose(back.vertices[back.faces], corners, rtol=0, atol=1e-4 * cell)
    extent = capsys.readouterr().out.split("world extent (")[1].split(")")
    printed = [float(x) for part in extent[:2] for x in part.removeprefix(" to (").split(", ")]
    expected = [*corners.min(axis=(0, 1)), *corners.max(axis=(0, 1))]
    np.testing.assert_allclose(printed, expected, rtol=0, atol=0.002)
    np.testing.assert_allclose([*summary.lower, *summary.upper], expected, rtol=0, atol=1e-6)


def test_what_is_said_is_said_of_the_file(run, tmp_path, capsys, monkeypatch):
    def write_half(path, mesh):
        write_mesh(path, mesh._replace(faces=mesh.faces[::2]))

    monkeypatch.setattr("neural_sdf.experiment.export.write_mesh", write_half)
    summary = export_mesh(run, tmp_path / "mesh.ply", resolution=CELLS)
    assert summary.num_faces == len(read_mesh(tmp_path / "mesh.ply").faces)
    assert not summary.watertight and "not watertight" in capsys.readouterr().out


def test_an_stl_is_refused_and_leaves_no_file(run, tmp_path):
    with pytest.raises(Mistake, match=r"0\.5 apart.*\.ply, \.obj and \.glb keep all digits"):
        export_mesh(run, tmp_path / "mesh.stl", resolution=CELLS)
    assert not list(tmp_path.iterdir())


def test_a_mesh_is_measured_there_without_loss_and_chamfer_is_defined(run, truth, tmp_path, capsys):
    _, cell = truth
    export_mesh(run, tmp_path / "mesh.glb", resolution=CELLS)
    metrics = evaluate(run, reference=tmp_path / "mesh.glb", resolution=CELLS)
    assert metrics["chamfer"] < 1e-4 * cell
    assert metrics["normal_consistency"] == pytest.approx(1.0, abs=1e-3)
    assert "chamfer is the mean of the two directed means" in capsys.readouterr().out
