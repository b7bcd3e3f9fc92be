"""The shipped configs, read as a command reads them."""

import importlib.util
from pathlib import Path
from typing import Any

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.py"))


def config_of(name: str, **changes: Any) -> Any:
    """A shipped config with another value here and there; __ stands for the dot of a key."""
    (path,) = (path for path in CONFIGS if path.stem == name)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = module.get_config()
    config.update_from_flattened_dict({k.replace("__", "."): x for k, x in changes.items()})
    return config


def short_config(**weights: float) -> Any:
    """Quickstart at a quarter of the size, in a small network: 300 steps that find the shape."""
    config = config_of("quickstart", data__downscale=4, field__width=64, field__depth=3)
    config.field.update(skip=0, num_features=16, radiance_width=64, radiance_depth=2)
    config.train.update(steps=300, batch_size=512, learning_rate=1e-3, warmup=20)
    config.train.update(checkpoint_every=100, log_every=100)
    config.train.weights.update(weights)
    return config
