import jax
import jax.numpy as jnp
import numpy as np

from neural_sdf.fields.encodings import positional_encoding


def test_encoding_is_the_input_then_sines_then_cosines_of_doubling_frequencies():
    x = jnp.array([[0.3, -0.7]])
    expected = [0.3, -0.7]
    for function in (np.sin, np.cos):
        expected += [function(f * v) for f in (1, 2, 4) for v in (0.3, -0.7)]
    np.testing.assert_allclose(positional_encoding(x, 3)[0], expected, atol=1e-6)


def test_no_octaves_give_the_input_itself():
    x = jax.random.normal(jax.random.key(0), (5, 3))
    np.testing.assert_array_equal(positional_encoding(x, 0), x)
