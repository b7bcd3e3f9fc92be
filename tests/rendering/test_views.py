"""The program that renders all views of an evaluation."""

import jax
import numpy as np
import pytest

from neural_sdf.geometry import Rays
from neural_sdf.machine.memory import power_of_two
from neural_sdf.rendering import compile_views, surface
from tests.cases import cases


@pytest.fixture
def compiled(sphere_field):
    params = {"field": sphere_field.init(jax.random.key(0))}

    def compile_for(*sizes, available=None):
        background = np.float32([0.1, 0.2, 0.3])
        return compile_views(
            surface(sphere_field),
            params,
            1.0,
            np.array(sizes),
            background=background,
            available=available,
        )

    return compile_for


def test_power_of_two_is_the_least_that_is_not_less():
    assert [power_of_two(n) for n in (1, 2, 3, 8, 9)] == [1, 2, 4, 8, 16]


@pytest.mark.parametrize(
    ("sizes", "rays"), cases([([(3, 3), (5, 20)], 128), ([(300, 400)], 8192)], [([(4, 4)], 16)])
)
def test_rays_suit_the_largest_view_up_to_a_limit(compiled, sizes, rays):
    assert compiled(*sizes)[1] == rays


@pytest.mark.parametrize(
    ("size", "available", "rays"), cases([((32, 32), 200_000, 512)], [((16, 32), 0, 256)])
)
def test_little_memory_makes_the_chunks_smaller(compiled, size, available, rays):
    assert compiled(size, available=available)[1] == rays


def test_program_renders_rays_with_its_background(compiled):
    render, rays = compiled((4, 4))
    origins = np.tile(np.float32([0, 0, -3]), (rays, 1))
    directions = np.tile(np.float32([0, 0, 1]), (rays, 1))
    directions[1] = [1, 0, 0]
    seen = render(Rays(origins, directions))
    assert seen.depth[0] == pytest.approx(2.5, abs=1e-4)
    np.testing.assert_allclose(seen.rgb[1], [0.1, 0.2, 0.3])
