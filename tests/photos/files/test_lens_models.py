"""Every lens against COLMAP's own code, and against the limit on the axis."""

import json
import subprocess
import sys

import numpy as np
import pytest

from neural_sdf.photos.files.lens_models import LENSES, Polynomial
from neural_sdf.photos.formats.colmap_entries import MODELS

PARAMS = {
    "SIMPLE_RADIAL": [0.1],
    "RADIAL": [0.1, 0.05],
    "OPENCV": [0.1, 0.02, 0.003, -0.002],
    "FULL_OPENCV": [0.1, 0.02, 0.003, -0.002, 0.01, 0.02, 0.03, -0.01],
    "OPENCV_FISHEYE": [0.1, 0.02, -0.03, 0.01],
    "SIMPLE_RADIAL_FISHEYE": [0.1],
    "RADIAL_FISHEYE": [0.1, 0.05],
    "SIMPLE_FISHEYE": [],
    "FISHEYE": [],
    "THIN_PRISM_FISHEYE": [0.1, 0.02, 0.003, -0.002, 0.01, 0.02, 0.03, -0.01],
    "FOV": [0.8],
    "SIMPLE_DIVISION": [-0.2],
    "DIVISION": [0.15],
    "EUCM": [0.5, 1.1],
}
POINTS = np.random.default_rng(0).uniform(-0.6, 0.6, (50, 2))
# In a process of its own: with it in one process, writing a PNG may crash.
ORACLE = """
import json, sys
import numpy as np, pycolmap

params, focals, points = json.load(sys.stdin)
said = {}
for model, values in params.items():
    whole = [1.0] * focals[model] + [0.0, 0.0] + values
    camera = pycolmap.Camera(model=model, width=100, height=100, params=whole)
    said[model] = [camera.img_from_cam(np.array([*p, 1.0])).ravel().tolist() for p in points]
json.dump(said, sys.stdout)
"""


@pytest.fixture(scope="module")
def colmap():
    focals = {model: MODELS[model].num_focal for model in PARAMS}
    given = json.dumps([PARAMS, focals, POINTS.tolist()])
    done = subprocess.run(
        [sys.executable, "-c", ORACLE], input=given, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def test_every_model_with_a_lens_is_compared():
    assert set(PARAMS) == set(MODELS) - {"SIMPLE_PINHOLE", "PINHOLE"}


@pytest.mark.parametrize("model", PARAMS)
def test_points_are_photographed_where_colmap_has_them(colmap, model):
    lens = MODELS[model].lens(*PARAMS[model])
    bent = np.stack(lens.distort(POINTS[:, 0], POINTS[:, 1]), axis=-1)
    np.testing.assert_allclose(bent, colmap[model], atol=1e-14)


def test_the_polynomial_of_nerfstudio_has_k4_at_the_eighth_power():
    r = np.hypot(*POINTS.T)
    factor = 1 + 0.1 * r**2 + 0.2 * r**4 + 0.3 * r**6 + 0.4 * r**8
    bent = Polynomial(0.1, 0.2, 0.0, 0.0, 0.3, 0.4).distort(POINTS[:, 0], POINTS[:, 1])
    np.testing.assert_allclose(np.stack(bent, axis=-1), factor[:, None] * POINTS, rtol=1e-14)


@pytest.mark.parametrize("name", LENSES)
def test_the_axis_stays_where_it_is(name):
    lens = LENSES[name](*[0.3] * len(LENSES[name]._fields))
    near = np.array([0.0, 1e-12, -1e-12])
    for bent in lens.distort(near, near):
        assert np.isfinite(bent).all() and np.abs(bent).max() < 1e-11
