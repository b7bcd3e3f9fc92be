"""Pictures as files, and what the script refuses."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from neural_sdf.experiment import relight
from neural_sdf.experiment.workdir import load_trained
from neural_sdf.mistake import Mistake
from neural_sdf.photos import load_scene
from neural_sdf.rendering import compile_views, render_image
from neural_sdf.scenes import background_colour

ROOT = Path(__file__).parents[2]
FEW = {"num_samples": 2, "num_bounces": 1}


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path)) / 255


def test_cornell_box_is_written_as_a_picture_with_light_in_it(tmp_path, capsys):
    output = tmp_path / "deep/cornell.png"
    relight.render_cornell(output, size=8, **FEW)
    assert pixels(output).shape == (8, 8, 3)
    assert pixels(output).max() > 0.5
    assert capsys.readouterr().out == f"{output}: 8x8 pixels, 2 paths a pixel\n"


@pytest.mark.slow
def test_emission_picture_is_the_ordinary_render(finished, tmp_path):
    """But for the edges, which many rays a pixel smooth."""
    output = tmp_path / "shining.png"
    many = {"num_samples": 16, "num_bounces": 1}
    relight.render_trained(finished, output, radiance="emission", size=16, **many)
    trained = load_trained(finished)
    scene = load_scene(**trained.config.data)
    size, background = np.array([[16, 16]]), background_colour(scene)
    given = trained.run.renderer, trained.params, trained.share, size
    render, chunk = compile_views(*given, background=background, available=None)
    view = int(scene.num_train)
    ordinary = render_image(
        render, scene.intrinsics[view], scene.scene_from_camera[view], (16, 16), chunk=chunk
    )
    assert 0.1 < ordinary.mask.mean() < 0.9
    difference = np.abs(pixels(output) - ordinary.rgb).max(axis=-1)
    assert np.median(difference) < 0.01


def test_albedo_picture_is_lit_anew(finished, tmp_path):
    output = tmp_path / "relit.png"
    relight.render_trained(finished, output, radiance="albedo", view=3, size=12, **FEW)
    assert pixels(output).shape == (12, 12, 3)
    np.testing.assert_allclose(pixels(output)[0, 0], 0.627, atol=0.003)  # sRGB of the sky's 0.35


@pytest.mark.parametrize("name", ["picture.jpg", "picture"])
def test_file_that_is_no_png_is_refused_before_any_work(tmp_path, name):
    for render in (
        lambda output: relight.render_cornell(output, size=8, **FEW),
        lambda output: relight.render_trained(
            tmp_path, output, radiance="albedo", view=None, size=8, **FEW
        ),
    ):
        with pytest.raises(Mistake, match=r"expected \.png; set output"):
            render(tmp_path / name)


def test_view_that_is_not_there_is_answered_with_those_that_are(finished, tmp_path):
    with pytest.raises(Mistake, match=r"view 99 is not there; expected 0 to \d+.*set view"):
        relight.render_trained(
            finished, tmp_path / "a.png", radiance="albedo", view=99, size=8, **FEW
        )
    assert not list(tmp_path.iterdir())


def test_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(Mistake, match=r"no config.json .*set workdir"):
        relight.render_trained(tmp_path, tmp_path / "a.png", radiance="albedo", size=8, **FEW)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["--output is missing"]),
        (["--output=a.png"], ["neither", "--scene", "--workdir"]),
        (["--output=a.png", "--scene=cornell", "--workdir=run"], ["both", "--scene", "--workdir"]),
        (["--output=a.png", "--scene=attic"], ["--scene=attic", "cornell"]),
        (["--output=a.png", "--scene=cornell", "--samples=0"], ["--samples=0"]),
        (["--output=a.png", "--scene=cornell", "--size=0"], ["--size=0"]),
        (["--output=a.png", "--scene=cornell", "--bounces=-1"], ["--bounces=-1"]),
        (["--output=a.png", "--workdir=run", "--radiance=paint"], ["albedo", "emission"]),
        (["--output=a.gif", "--scene=cornell"], ["a.gif", ".png"]),
        (["--output=a.png", "--workdir=no_such_run"], ["no_such_run", "--workdir"]),
    ],
)
def test_mistake_on_the_command_line_is_one_line(
    tmp_path, script, assert_mistake, arguments, words
):
    assert_mistake(script(ROOT / "scripts/render.py", *arguments, cwd=tmp_path), words)
    assert not list(tmp_path.iterdir())
