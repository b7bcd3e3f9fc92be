"""The shipped configs made so small that a run takes a moment."""

from pathlib import Path

from tests import shipped

TINY = {
    "field__width": 16,
    "field__depth": 2,
    "field__skip": 0,
    "field__num_features": 4,
    "field__radiance_width": 8,
    "field__radiance_depth": 1,
    "train__steps": 4,
    "train__batch_size": 16,
    "train__warmup": 1,
    "train__log_every": 1,
    "train__checkpoint_every": 2,
    "train__render__max_steps": 8,
}


FEW = {"size": 8, "num_samples": 1, "num_bounces": 1}


def config_of(name: str, **changes):
    """A shipped config made tiny, with another value here and there."""
    ours = shipped.config_of(name).field.keys()  # not every field has every one of these
    tiny = {k: x for k, x in TINY.items() if k.startswith("train__") or k[7:] in ours}
    return shipped.config_of(name, **tiny | changes)


def synthetic(**changes):
    return config_of("quickstart", **{"data__downscale": 8, **changes})


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
