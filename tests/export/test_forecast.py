"""What a mesh takes, told before it is made; the process's own peak is measured once, elsewhere."""

import jax.numpy as jnp
import pytest

from neural_sdf.export import extract_mesh, mesh_memory, require_memory
from neural_sdf.export.forecast import _PER_FACE
from neural_sdf.geometry import shapes
from neural_sdf.mistake import Mistake


def torus(_, points):
    return shapes.torus(points, 0.6, 0.2)


def test_triangles_are_foretold_to_a_few_hundredths():
    without = mesh_memory(lambda _, points: points[:, 0] + 5, None)  # no surface: grid alone
    faces = (mesh_memory(torus, None)(192) - without(192)) / _PER_FACE
    assert faces == pytest.approx(len(extract_mesh(torus, None, resolution=192).faces), rel=0.03)


@pytest.mark.parametrize("resolution", [1000, 8192, 10**9, 10**30])
def test_mesh_that_does_not_fit_is_refused_with_the_largest_that_does(resolution):
    needed = mesh_memory(torus, None)
    available = 600_000_000
    with pytest.raises(Mistake) as caught:
        require_memory(needed, resolution, available)
    told = str(caught.value)
    assert f"a mesh of resolution {resolution} takes about" in told
    assert "expected at most the 0.56 GiB that are free; set resolution=" in told
    largest = int(told.rpartition("=")[2])
    assert needed(largest) <= available < needed(largest + 1)
    require_memory(needed, largest, available)


def test_no_memory_at_all_is_told_without_a_resolution():
    with pytest.raises(Mistake, match="end other programs"):
        require_memory(mesh_memory(torus, None), 256, 1000)


def test_a_field_that_is_refused_anyway_is_not_refused_here():
    assert mesh_memory(lambda _, points: jnp.nan * points[:, 0], None)(256) > 0
