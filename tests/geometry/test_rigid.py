import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from neural_sdf.geometry import rigid_from_twist

pytestmark = pytest.mark.usefixtures("x64")


def generator(twist):
    x, y, z = twist[:3]
    matrix = np.zeros((4, 4))
    matrix[:3, :3] = [[0, -z, y], [z, 0, -x], [-y, x, 0]]
    matrix[:3, 3] = twist[3:]
    return matrix


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-3, 0.31, 0.32, 1.0, np.pi, 6.0])
def test_motion_is_the_matrix_exponential_of_its_generator(angle):
    axis = np.array([2.0, -1.0, 2.0]) / 3
    twist = jnp.concatenate([angle * axis, jnp.array([0.3, -0.2, 0.5])])
    expected = jax.scipy.linalg.expm(generator(np.asarray(twist)))
    np.testing.assert_allclose(rigid_from_twist(twist), expected, atol=2e-14)


def test_derivatives_are_right_at_zero_where_the_formula_is_singular():
    for scale in (0.0, 1e-5, 0.2):
        twist = scale * jnp.array([0.5, -1.0, 0.7, 0.2, 0.1, -0.3])
        check_grads(jax.jit(rigid_from_twist), (twist,), order=2, eps=1e-4, atol=1e-6, rtol=1e-6)
    first = jax.jit(jax.jacfwd(rigid_from_twist))(jnp.zeros(6))
    for i in range(6):
        np.testing.assert_allclose(first[..., i], generator(np.eye(6)[i]), atol=1e-15)


def test_opposite_twists_undo_each_other_and_leading_axes_are_a_batch():
    twists = jax.random.normal(jax.random.key(0), (5, 2, 6))
    product = rigid_from_twist(twists) @ rigid_from_twist(-twists)
    np.testing.assert_allclose(product, np.broadcast_to(np.eye(4), (5, 2, 4, 4)), atol=1e-14)
