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
