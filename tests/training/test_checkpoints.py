import gc
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_sdf.fields import mlp
from neural_sdf.geometry import Similarity
from neural_sdf.mistake import Mistake, RunEnded
from neural_sdf.rendering import surface
from neural_sdf.scenes import CAMERAS
from neural_sdf.training import (
    Checkpoints,
    Model,
    TrainState,
    adam_by_part,
    init_state,
    schedule,
)

FRAME = Similarity(np.array(0.1), np.diag([1.0, -1.0, -1.0]), np.array([1 / 3, -2e5, 7.0]))
VIEWS = 5

# What Orbax leaves behind a load that it refused complains when it is collected.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Nothing is left to complain in another test, where it would be an error."""
    yield
    gc.collect()


def state_of(width: int, depth: int = 2) -> TrainState:
    sizes = {"width": width, "depth": depth, "num_features": 4, "radiance_width": 8}
    field = mlp(**sizes, skip=0, num_octaves=1)
    rate = schedule(learning_rate=1e-3, steps=10, warmup=0)
    schedules = {"field": rate, "renderer": rate, "cameras": rate}
    parts = surface(field), CAMERAS["given"](), schedules, adam_by_part(schedules)
    return init_state(Model(field, *parts), VIEWS, jax.random.key(0))


@pytest.fixture(scope="module")
def initial() -> TrainState:
    return state_of(16)


@pytest.fixture
def checkpoints(tmp_path):
    opened = Checkpoints(tmp_path / "checkpoints")
    yield opened
    opened.close()


def at(state: TrainState, step: int, loss: float = 1.0) -> TrainState:
    params = jax.tree.map(lambda x: x + step, state.params)
    return state._replace(step=jnp.int32(step), params=params, loss=jnp.float32(loss))


def assert_same_bits(first, second) -> None:
    assert jax.tree.structure(first) == jax.tree.structure(second)
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        assert a.dtype == b.dtype
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def test_what_is_loaded_has_the_bits_of_what_was_saved(checkpoints, initial):
    saved = at(initial, 7, loss=0.1)
    checkpoints.save(saved, FRAME, VIEWS)
    loaded, frame = checkpoints.load(lambda num_views: jax.eval_shape(lambda: initial))
    assert_same_bits(loaded, saved)
    for ours, theirs in zip(frame, FRAME, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_state_is_made_for_as_many_views_as_were_saved(checkpoints, initial):
    checkpoints.save(at(initial, 7), FRAME, 31)
    counts = []
    checkpoints.load(lambda num_views: counts.append(num_views) or initial)
    assert counts == [31]


def test_another_process_would_find_the_same(checkpoints, initial, tmp_path):
    checkpoints.save(at(initial, 3), FRAME, VIEWS)
    again = Checkpoints(tmp_path / "checkpoints")
    assert again.steps() == [3]
    assert_same_bits(again.load(lambda _: initial)[0], at(initial, 3))
    again.close()


def test_latest_two_and_the_best_are_kept(checkpoints, initial):
    for step, loss in [(1, 0.5), (2, 0.1), (3, 0.4), (4, 0.3), (5, 0.2), (6, 0.6)]:
        checkpoints.save(at(initial, step, loss), FRAME, VIEWS)
    assert checkpoints.steps() == [2, 5, 6]
    assert_same_bits(checkpoints.load(lambda _: initial, 2)[0], at(initial, 2, 0.1))
    assert checkpoints.load(lambda _: initial)[0].step == 6


def test_a_lost_surface_is_never_the_best(checkpoints, initial):
    for step, loss, lost in [(1, 0.5, False), (2, 0.1, True), (3, 0.6, False), (4, 0.7, False)]:
        checkpoints.save(at(initial, step, loss), FRAME, VIEWS, lost=lost)
    assert checkpoints.steps() == [1, 3, 4]


def test_best_is_kept_by_a_run_that_resumed(checkpoints, initial, tmp_path):
    checkpoints.save(at(initial, 1, 0.1), FRAME, VIEWS)
    resumed = Checkpoints(tmp_path / "checkpoints")
    for step in (2, 3, 4):
        resumed.save(at(initial, step, 0.5), FRAME, VIEWS)
    assert resumed.steps() == [1, 3, 4]
    resumed.close()


def test_empty_and_foreign_folders_are_no_checkpoints(initial, tmp_path):
    folder = tmp_path / "checkpoints"
    for name in ("5", "9", "notes", "0012", "7.partial"):
        (folder / name).mkdir(parents=True)
    (folder / "8").write_text("a file")
    opened = Checkpoints(folder)
    assert opened.steps() == []
    opened.save(at(initial, 5), FRAME, VIEWS)
    assert opened.steps() == [5]
    assert opened.load(lambda _: initial)[0].step == 5
    opened.close()


def test_folder_without_checkpoint_says_so_and_is_not_made(initial, tmp_path):
    opened = Checkpoints(tmp_path / "checkpoints")
    with pytest.raises(Mistake, match=r"no checkpoint in .*checkpoints; .* train first"):
        opened.load(lambda _: initial)
    opened.close()
    assert not (tmp_path / "checkpoints").exists()


def test_missing_step_is_answered_with_those_that_exist(checkpoints, initial):
    for step in (10, 20):
        checkpoints.save(at(initial, step), FRAME, VIEWS)
    with pytest.raises(Mistake, match=r"of step 15 .*; it has \[10, 20\]"):
        checkpoints.load(lambda _: initial, 15)


def data_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_truncated_file_is_one_clear_error(checkpoints, initial, tmp_path):
    checkpoints.save(at(initial, 5), FRAME, VIEWS)
    largest = max(data_files(tmp_path / "checkpoints/5/state"), key=lambda p: p.stat().st_size)
    largest.write_bytes(largest.read_bytes()[: largest.stat().st_size // 2])
    with pytest.raises(Mistake, match=r"checkpoints/5 cannot be read \(") as caught:
        checkpoints.load(lambda _: initial)
    assert "\n" not in str(caught.value)
    assert "; delete that folder" in str(caught.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_parameters_that_are_not_finite_are_refused_and_leave_nothing(
    checkpoints, initial, tmp_path, bad
):
    path, leaf = jax.tree_util.tree_leaves_with_path(initial.params)[0]
    leaves, structure = jax.tree.flatten(initial.params)
    leaves[0] = leaf.at[(0,) * leaf.ndim].set(bad)
    broken = initial._replace(params=structure.unflatten(leaves), step=jnp.int32(8))
    name = jax.tree_util.keystr(path, simple=True, separator=".")
    with pytest.raises(RunEnded, match=f"{name} is not finite at step 8"):
        checkpoints.save(broken, FRAME, VIEWS)
    assert checkpoints.steps() == []
    assert not data_files(tmp_path)


def test_checkpoint_of_another_field_is_refused(checkpoints, initial):
    checkpoints.save(at(initial, 5), FRAME, VIEWS)
    other = jax.eval_shape(lambda: state_of(24))
    with pytest.raises(Mistake, match=r"checkpoints/5 cannot be read \(.+\); expected one of"):
        checkpoints.load(lambda _: other)


def test_checkpoint_of_a_field_with_other_layers_is_refused(checkpoints, initial):
    checkpoints.save(at(initial, 5), FRAME, VIEWS)
    other = jax.eval_shape(lambda: state_of(16, depth=3))
    with pytest.raises(Mistake, match=r"checkpoints/5 cannot be read \(.+\); expected one of"):
        checkpoints.load(lambda _: other)
