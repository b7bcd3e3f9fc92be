"""A step compiled within the memory there is, or the largest batch whose step would be."""

from __future__ import annotations

from collections.abc import Callable

from jax.stages import Compiled, Lowered

from neural_sdf.machine.memory import compile_alone, gib, program_memory
from neural_sdf.mistake import Mistake

_BATCH_MULTIPLE = 64  # a proposed batch is rounded down to it


def compile_within(
    lower: Callable[[int], Lowered], batch_size: int, available: int | None
) -> tuple[Compiled, int]:
    """The step compiled ahead of time, and the bytes it needs.

    Args:
        lower: batch size -> the lowered step.
        batch_size: rays a step.
        available: bytes; None for no limit.

    Raises:
        Mistake: it needs more than there is; names the largest batch that does not.
    """
    program = compile_alone(lower(batch_size))
    needed = program_memory(program)
    if available is None or needed <= available:
        return program, needed
    largest = _largest_batch(lower, (batch_size, needed), available)
    message = (
        f"a step of batch_size {batch_size} needs {gib(needed)}; expected at most the "
        f"{gib(available)} that are free"
    )
    if not largest:
        remedy = "not even a batch of one ray fits; a smaller field or smaller photos may"
        raise Mistake(message, setting="downscale", remedy=remedy)
    raise Mistake(message, setting=f"batch_size={largest}", remedy="the most that fits")


def _largest_batch(
    lower: Callable[[int], Lowered], too_large: tuple[int, int], available: int
) -> int:
    """The most rays whose step fits, or slightly fewer; 0 if there is none.

    Memory is nearly a + b · batch; the line goes through the batch that was too large and a smaller
    one, and what it proposes is compiled, since a proposal that does not fit is worth nothing.
    """
    large, most = too_large
    small = max(1, min(large - 1, int(large * available / most)))
    least = program_memory(compile_alone(lower(small)))
    slope = max((most - least) / max(large - small, 1), 1e-9)
    guess = max(0, min(int(small + (available - least) / slope), large - 1))
    for rays in (guess, guess * 7 // 8, guess * 3 // 4, small // 2):
        proposed = rays if rays < _BATCH_MULTIPLE else rays - rays % _BATCH_MULTIPLE
        if proposed and program_memory(compile_alone(lower(proposed))) <= available:
            return proposed
    return 0
