import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_sdf.geometry import shapes

EXACT = {
    "sphere": lambda x: shapes.sphere(x, 0.6),
    "box": lambda x: shapes.box(x, jnp.array([0.3, 0.5, 0.2])),
    "torus": lambda x: shapes.torus(x, 0.5, 0.2),
    "cylinder": lambda x: shapes.cylinder(x, 0.4, 0.3),
}
POINTS = jax.random.uniform(jax.random.key(0), (2000, 3), minval=-1.0, maxval=1.0)


@pytest.mark.parametrize("name", EXACT)
def test_primitive_is_the_distance_to_its_zero_level(name):
    """Slope one almost everywhere, and a step of −f ∇f ends on the surface."""
    sdf = EXACT[name]
    distance, gradient = jax.jit(jax.vmap(jax.value_and_grad(sdf)))(POINTS)
    slope = np.linalg.norm(gradient, axis=-1)
    assert np.mean(np.abs(slope - 1) < 1e-4) > 0.99
    landed = np.asarray(sdf(POINTS - distance[:, None] * gradient))
    assert np.mean(np.abs(landed) < 1e-4) > 0.98


@pytest.mark.parametrize("name", EXACT)
def test_primitive_is_negative_inside_and_finite_at_the_origin(name):
    sdf = EXACT[name]
    assert (sdf(jnp.zeros(3)) < 0) == (name != "torus")
    for derivative in (jax.grad(sdf), jax.hessian(sdf)):
        assert np.isfinite(jax.jit(derivative)(jnp.zeros(3))).all()


def test_combinations_keep_what_their_names_say():
    a, b = EXACT["sphere"](POINTS), EXACT["box"](POINTS - 0.4)
    inside_a, inside_b = a < 0, b < 0
    np.testing.assert_array_equal(shapes.union(a, b) < 0, inside_a | inside_b)
    np.testing.assert_array_equal(shapes.difference(a, b) < 0, inside_a & ~inside_b)
    smooth = shapes.smooth_union(a, b, 0.1)
    assert (smooth <= shapes.union(a, b) + 1e-6).all()
    assert (smooth >= shapes.union(a, b) - 0.1 / 4 - 1e-6).all()
