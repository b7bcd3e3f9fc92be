"""Values a round, compared within the round, and how they are shown."""

import time

import jax
import jax.numpy as jnp
import pytest
from measure import Row, Spread, alternating_times, as_record, compare, memory, ratio, spread, table


def test_ratios_are_taken_within_a_round():
    first, second = compare("figure", {"a": [1.0, 2.0, 4.0], "b": [3.0, 4.0, 4.0]}, "ms")
    assert first == Row("figure.a", Spread(2.0, 1.0, 4.0), "ms", Spread(1.0, 1.0, 1.0))
    assert second == Row("figure.b", Spread(4.0, 3.0, 4.0), "ms", Spread(2.0, 1.0, 3.0))
    assert ratio([3.0, 4.0, 4.0], [1.0, 2.0, 4.0]) == second.ratio


def test_programs_take_turns(monkeypatch):
    clock = iter(range(1000))  # a second a look
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    called = []
    programs = {name: lambda name=name: called.append(name) for name in "ab"}
    times = alternating_times(programs, (), num_calls=2)
    assert "".join(called) == "aabb" * 8
    assert times == {"a": [500.0] * 7, "b": [500.0] * 7}


def test_memory_of_a_program_is_that_of_its_temporaries():
    def needed(n):
        x = jax.ShapeDtypeStruct((n, n), jnp.float32)
        return memory(jax.jit(lambda x: jnp.sum(jnp.sort(x @ x, axis=0) @ x)).lower(x).compile())

    assert needed(512) >= 1.0
    assert needed(1024) == pytest.approx(4 * needed(512), rel=0.2)


def test_table_and_record_show_what_was_measured():
    rows = [Row("alone", spread([3.0]), ""), *compare("both", {"a": [1.0, 2.0]}, "MiB")]
    lines = table(rows).splitlines()
    assert [line.split()[0] for line in lines] == ["figure", "alone", "both.a"]
    assert "1.5 MiB" in lines[2] and "(1 to 2)" in lines[2] and "1.00x" in lines[2]
    spreads = {"median": 1.5, "least": 1.0, "greatest": 2.0, "unit": "MiB"}
    same = {"median": 1.0, "least": 1.0, "greatest": 1.0}
    assert as_record(rows[1]) == spreads | {"ratio": same}
