"""How fast each part of the parameters learns, and when."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import jax
import optax

from neural_sdf.mistake import Mistake

DECAYS = ("cosine", "halving")


def schedule(
    *, learning_rate: float, steps: int, warmup: int, decay: str = "cosine", final: float = 0.05
) -> optax.Schedule:
    """A learning rate that warms up linearly and decays.

    Args:
        learning_rate: the highest.
        steps: of the whole run, updates.
        warmup: steps of the rise from zero.
        decay: "cosine", down to `final` times the highest at the last step; or "halving", at
            1/2 and 3/4 of the run as in IDR, which leaves a quarter.
        final: of the cosine.

    Raises:
        Mistake: an unknown decay.
    """
    if decay not in DECAYS:
        raise Mistake(
            f"decay {decay!r} is unknown; expected one of {list(DECAYS)}", setting="decay"
        )
    after = max(steps - warmup, 1)
    if decay == "cosine":
        falling = optax.cosine_decay_schedule(learning_rate, after, alpha=final)
    else:
        halvings = {steps // 2 - warmup: 0.5, 3 * steps // 4 - warmup: 0.5}
        falling = optax.piecewise_constant_schedule(learning_rate, halvings)
    rising = optax.linear_schedule(0.0, learning_rate, max(warmup, 1))
    return optax.join_schedules([rising, falling], [warmup])


def adam_by_part(
    schedules: Mapping[str, optax.Schedule],
    painted: Callable[[Any], Any] | None = None,
    weight_decay: float = 0.0,
) -> optax.GradientTransformation:
    """Adam for params {part: tree}, each part by its own schedule.

    The moments are one flat vector each: of many small arrays each would be a program to compile.

    Args:
        schedules: of the learning rate of each part.
        painted: of the part "field", as in `Field`.
        weight_decay: of those, decoupled (AdamW, Loshchilov and Hutter 2019): a step shrinks them
            by so much times the learning rate. On what colour alone stores, as in PermutoSDF
            (Rosu and Behnke 2023), it leaves to the shape what the shape can explain.
    """

    def labels(params: dict[str, Any]) -> dict[str, Any]:
        return {part: jax.tree.map(lambda _, part=part: part, params[part]) for part in params}

    rates: dict[Hashable, Any] = {
        part: optax.scale_by_learning_rate(rate) for part, rate in schedules.items()
    }
    steps: list[optax.GradientTransformation] = [optax.flatten(optax.scale_by_adam())]
    if painted is not None and weight_decay:

        def decayed(params: dict[str, Any]) -> dict[str, Any]:
            none = {part: jax.tree.map(lambda _: False, params[part]) for part in params}
            return {**none, "field": painted(params["field"])}

        steps.append(optax.add_decayed_weights(weight_decay, decayed))
    return optax.chain(*steps, optax.partition(rates, labels))
