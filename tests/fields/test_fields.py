import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_sdf.fields import FIELDS, hash_grid, mlp
from neural_sdf.tracing import trace
from tests.cases import cases

IDR = {
    "width": 512,
    "depth": 8,
    "skip": 4,
    "num_features": 256,
    "radiance_width": 512,
    "radiance_depth": 4,
    "weight_norm": True,
}
MEMBERS = {
    "mlp": lambda: FIELDS["mlp"](radius=0.5),
    "small mlp": lambda: mlp(width=48, depth=2, skip=0, num_features=8, num_octaves=4),
    "mlp with weight norm": lambda: mlp(width=96, depth=4, skip=2, weight_norm=True),
    "idr": lambda: mlp(**IDR),
    "hash_grid": lambda: FIELDS["hash_grid"](radius=0.5),
    "small hash_grid": lambda: hash_grid(num_levels=3, finest=16, width=48, depth=2),
    "trained hash_grid": lambda: with_features(
        hash_grid(num_levels=4, finest=32, radiance_levels=2, radiance_finest=64)
    ),
}
RADII = {"mlp": 0.5, "hash_grid": 0.5}


def with_features(field):
    """The field as training leaves it: with features that are not zero."""

    def init(key):
        params = field.init(key)
        for grid in (params["geometry"]["encoding"], params["appearance"].get("place", {})):
            for name, table in grid.items():
                grid[name] = table + 1e-2 * jax.random.normal(key, table.shape)
        return params

    return field._replace(init=init)


def test_every_field_meets_the_contract():
    assert set(FIELDS) <= set(MEMBERS)


QUICK = ("mlp", "trained hash_grid")
members = cases(QUICK, [name for name in MEMBERS if name not in QUICK])


@pytest.fixture(scope="module", params=members)
def member(request):
    field = MEMBERS[request.param]()
    return request.param, field, jax.jit(field.init)(jax.random.key(3))


def unit(key, count):
    x = jax.random.normal(key, (count, 3))
    return x / jnp.linalg.norm(x, axis=-1, keepdims=True)


def test_fresh_field_is_a_sphere_of_the_stated_radius(member):
    name, field, params = member
    directions = unit(jax.random.key(0), 1000)
    traced = jax.jit(functools.partial(trace, field.sdf, near=0.0, far=1.0))
    hits = traced(params, directions, -directions)
    assert hits.hit.all()
    radius = RADII.get(name, 0.6)
    error = np.sqrt(np.mean(((1 - hits.t) / radius - 1) ** 2))
    assert error < 0.05


def test_surface_gives_the_distance_its_gradient_and_a_feature(member):
    _, field, params = member
    points = jax.random.uniform(jax.random.key(1), (64, 3), minval=-1.0, maxval=1.0)
    distance, gradient, feature = field.surface(params, points)
    np.testing.assert_allclose(distance, field.sdf(params, points), atol=1e-6)
    slope = jax.grad(lambda x: field.sdf(params, x[None])[0])
    expected = jax.jit(jax.vmap(slope))(points)
    np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-4)
    assert feature.shape[0] == 64 and feature.ndim == 2


def test_value_gradient_and_second_derivative_are_finite_also_at_the_origin(member):
    _, field, params = member
    points = jnp.concatenate([jnp.zeros((1, 3)), unit(jax.random.key(2), 7)])

    def loss(params, points):
        distance, gradient, feature = field.surface(params, points)
        rgb = field.radiance(params, points, gradient, -gradient, feature)
        return jnp.sum(rgb) + jnp.sum(distance) + jnp.sum((jnp.sum(gradient**2, axis=-1) - 1) ** 2)

    for leaf in jax.tree.leaves(jax.jit(jax.grad(loss, (0, 1)))(params, points)):
        assert np.isfinite(leaf).all()


def test_radiance_is_a_colour_and_depends_on_the_direction(member):
    _, field, params = member
    points, directions = unit(jax.random.key(3), 32) * 0.6, unit(jax.random.key(4), 32)
    _, gradient, feature = field.surface(params, points)
    rgb = field.radiance(params, points, gradient, directions, feature)
    assert rgb.shape == (32, 3) and (rgb >= 0).all() and (rgb <= 1).all()
    other = field.radiance(params, points, gradient, -directions, feature)
    assert np.abs(rgb - other).max() > 1e-4


def test_jitted_field_is_the_eager_field(member):
    _, field, params = member
    points = unit(jax.random.key(5), 128)
    np.testing.assert_allclose(
        jax.jit(field.sdf)(params, points), field.sdf(params, points), atol=2e-6
    )


def test_parameters_are_plain_dictionaries_and_depend_on_the_key(member):
    _, field, params = member
    is_plain = lambda tree: (
        not isinstance(tree, dict) or (type(tree) is dict and all(map(is_plain, tree.values())))
    )
    assert is_plain(params) and all(isinstance(x, jax.Array) for x in jax.tree.leaves(params))
    other = jax.jit(field.init)(jax.random.key(4))
    assert any((a != b).any() for a, b in zip(*map(jax.tree.leaves, (params, other)), strict=True))


def test_weight_norm_makes_outputs_indifferent_to_the_length_of_a_kernel():
    field = mlp(width=96, depth=2, skip=0, weight_norm=True)
    params = field.init(jax.random.key(0))
    points = unit(jax.random.key(6), 16)
    before = field.sdf(params, points)
    params["geometry"]["layers"][1]["kernel"] *= 3.0
    np.testing.assert_allclose(field.sdf(params, points), before, atol=1e-5)


@pytest.mark.parametrize(
    "settings", [{"width": 0}, {"depth": -1}, {"skip": 4}, {"skip": -1}, {"width": 32}]
)
def test_sizes_that_make_no_network_are_refused_with_the_key_to_set(settings):
    with pytest.raises(ValueError, match=r"expected .*set \w+$"):
        mlp(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        *({"num_levels": 0}, {"coarsest": 0}, {"table_size": 0}, {"finest": 7}, {"depth": 0}),
        *({"radiance_levels": -1}, {"radiance_levels": 2, "radiance_finest": 15}),
    ],
)
def test_sizes_that_make_no_grid_are_refused_with_the_key_to_set(settings):
    with pytest.raises(ValueError, match=r"expected .*set \w+$"):
        hash_grid(**{"coarsest": 8, **settings})


def test_update_is_whole_at_the_end_of_a_run(member):
    _, field, params = member
    annealed = field.anneal(params, jnp.float32(1.0))
    assert jax.tree.structure(annealed) == jax.tree.structure(params)
    jax.tree.map(np.testing.assert_array_equal, annealed, params)


def test_annealed_update_of_a_grid_holds_back_the_fine_levels_alone():
    sizes = {"num_levels": 4, "coarsest": 2, "finest": 16, "table_size": 200}
    colour = {f"radiance_{name.removeprefix('num_')}": size for name, size in sizes.items()}
    field = hash_grid(**sizes, **colour)
    ones = jax.tree.map(jnp.ones_like, field.init(jax.random.key(0)))
    annealed = field.anneal(ones, jnp.float32(3 / 16))  # half a level past the second
    expected = np.repeat([1.0, 1.0, 0.5, 0.0], [27, 125, 200, 200])
    for grid in (annealed["geometry"]["encoding"], annealed["appearance"]["place"]):
        table = grid.pop("table")
        np.testing.assert_allclose(table, np.stack([expected, expected], axis=1), atol=1e-6)
    assert all((leaf == 1).all() for leaf in jax.tree.leaves(annealed))


@pytest.mark.usefixtures("x64")
def test_field_of_double_precision_on_a_grid_is_differentiated_to_double_precision():
    field = with_features(hash_grid(num_levels=4, coarsest=2, finest=16, table_size=500))
    params = jax.jit(field.init)(jax.random.key(0))
    assert all(leaf.dtype == jnp.float64 for leaf in jax.tree.leaves(params))
    points = jax.random.uniform(jax.random.key(1), (32, 3), minval=-1.0, maxval=1.0)

    @jax.jit
    def slope(params):
        return jnp.sum(field.surface(params, points)[1] ** 2)

    tangent = jax.tree.map(lambda x: jax.random.normal(jax.random.key(2), x.shape), params)
    at = lambda step: slope(jax.tree.map(lambda x, v: x + step * v, params, tangent))
    expected = (8 * (at(1e-6) - at(-1e-6)) - (at(2e-6) - at(-2e-6))) / 12e-6
    gradient = jax.jit(jax.grad(slope))(params)
    along = sum(map(jnp.vdot, jax.tree.leaves(gradient), jax.tree.leaves(tangent)))
    np.testing.assert_allclose(along, expected, rtol=1e-6)


def test_grid_of_colour_changes_colour_alone():
    field = hash_grid(radiance_levels=2, radiance_finest=64)
    params = field.init(jax.random.key(0))
    points, directions = unit(jax.random.key(1), 64) / 2, unit(jax.random.key(2), 64)
    table = params["appearance"]["place"]["table"]
    painted = field.painted(params)
    assert painted["appearance"]["place"]["table"] and sum(jax.tree.leaves(painted)) == 1
    marked = jax.tree.map(lambda x: x, params)
    marked["appearance"]["place"]["table"] = jax.random.normal(jax.random.key(3), table.shape)
    before, after = field.surface(params, points), field.surface(marked, points)
    jax.tree.map(np.testing.assert_array_equal, before, after)
    seen = points, *before[1:2], directions, before[2]
    assert (abs(field.radiance(params, *seen) - field.radiance(marked, *seen)) > 1e-3).any(-1).all()
