"""The matrix products of a program, found in its text and run alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from next_step import hits_of
from products import bare, bare_products, shapes_of

pytestmark = pytest.mark.slow


def test_products_of_a_loop_count_as_often_as_rows_were_paid_for():
    def program(x, a, b):
        x = lax.while_loop(lambda x: jnp.sum(x) < 1e6, lambda x: jnp.sin(x @ b), x @ a)
        return jnp.tanh(x) @ a.T

    shapes = [jax.ShapeDtypeStruct(size, jnp.float32) for size in ((64, 24), (24, 40), (40, 40))]
    text = str(jax.jit(program).lower(*shapes).compile().as_text())
    found = sorted(shapes_of(text, rows_in_loops=24, batch=64))
    assert found == sorted([(64, 24, 40), (64, 40, 24), *3 * [(8, 40, 40)]])


def test_bare_program_is_products_of_those_shapes():
    program, pairs = bare([(8, 3, 5), (2, 7, 4)])
    results = program(*pairs)
    assert [x.shape for x in results] == [(8, 5), (2, 4)]
    for result, (left, right) in zip(results, pairs, strict=True):
        np.testing.assert_allclose(result, np.asarray(left) @ np.asarray(right), rtol=1e-5)


def test_speed_is_work_over_time(now):
    rows = {row.key: row.value for row in bare_products(now)}
    assert len(rows) == 4
    work = [
        1e6 * rows[f"products_speed.{name}"].median * rows[f"products.{name}"].median
        for name in ("bare", "step")
    ]
    np.testing.assert_allclose(*work, rtol=1e-5)
    assert work[0] >= 0.9 * 2 * 3 * 3 * int(hits_of(now).num_paid)  # x A, once an evaluation
