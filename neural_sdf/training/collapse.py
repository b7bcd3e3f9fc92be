"""A run that has lost its object: a surface that no ray meets where it should, or that all meet."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping

from neural_sdf.mistake import Doubt

LONG = 100  # steps: a surface that is out of sight for a moment may come back by itself
SURE = 10  # rays that went wrong: fewer may be chance, where batches are of a few rays

_TOLD = {
    "nothing": "no ray has hit the object",
    "everything": "every ray has hit something, also those beside the object,",
}
_CURES = {
    "nothing": "",
    "everything": ", or with a larger region of interest (<data.radius>)",
}


def collapse(metrics: Mapping[str, float]) -> tuple[str, float]:
    """How the surface is lost in a step, and the share of the step's rays that tell so.

    Args:
        metrics: of `train_step`.

    Returns:
        "nothing" if none of the rays on the object hits, "everything" if all rays hit though some
        pass beside it; else "", with a share of 0.
    """
    hits, wrong = metrics["hit_rate"], metrics["mask_error"]
    if math.isnan(metrics["psnr"]) and wrong > hits:
        return "nothing", wrong - hits
    if hits == 1 and wrong > 0:
        return "everything", wrong
    return "", 0.0


class CollapseWatch:
    """Warns once of a surface that stays lost, by the steps that are logged anyway."""

    def __init__(self, *, steps: int, rays: int):
        """For a run of `steps`, each of `rays` rays."""
        self._steps, self._rays = steps, rays
        self._how, self._since, self._wrong = "", 0, 0.0
        self._told = False

    def see(self, step: int, metrics: Mapping[str, float]) -> None:
        """Takes the metrics after `step`.

        Warns:
            Doubt: the surface was lost at all steps that were seen for `LONG` of them, or up to the
                last; at most once.
        """
        how, share = collapse(metrics)
        if how != self._how:
            self._how, self._since, self._wrong = how, step, 0.0
        self._wrong += share * self._rays
        late = step - self._since >= LONG or step == self._steps
        if how and late and self._wrong >= SURE and not self._told:
            self._told = True
            when = " to ".join(f"step {x}" for x in sorted({self._since, step}))
            cure = f"train anew in another workdir with a lower <train.learning_rate>{_CURES[how]}"
            remedy = f"{cure}, or mend the photos' masks and cameras"
            message = f"{_TOLD[how]} at {when}: the surface is lost, and photos teach it nothing"
            warnings.warn(Doubt(message, remedy=remedy), stacklevel=1)
