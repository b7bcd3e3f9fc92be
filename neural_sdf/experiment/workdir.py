"""The folder of a run: its config, what may change in it from start to start, its checkpoints."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
from ml_collections import ConfigDict

from neural_sdf.experiment.build import Config, Run, build, learning_rate, schedule_steps
from neural_sdf.experiment.choices import settings_of
from neural_sdf.experiment.defaults import defaults, flat, with_defaults
from neural_sdf.fields import FIELDS, Field
from neural_sdf.geometry import Similarity
from neural_sdf.mistake import Mistake, file_mistakes
from neural_sdf.photos import lasting_path
from neural_sdf.rendering import RENDERERS
from neural_sdf.training import LOSSES, Checkpoints

RENAMED = {"train.march": "train.render"}  # sections of a config.json, old to new


class Trained(NamedTuple):
    """What a workdir holds.

    Attributes:
        config: of the run.
        run: built from it.
        params: of the checkpoint.
        step: of the checkpoint.
        world_from_scene: of the photos it was trained on.
    """

    config: Config
    run: Run
    params: Any
    step: int
    world_from_scene: Similarity

    @property
    def share(self) -> float:
        """Of the run that is done, in [0, 1]."""
        return min(self.step / schedule_steps(self.config.train), 1.0)

    @property
    def field(self) -> Field:
        """As it acts at this checkpoint, on `params["field"]`."""
        return self.run.model.field.at(jnp.float32(self.share))


def load_trained(workdir: str | Path, step: int | None = None) -> Trained:
    """A trained field from its workdir alone.

    Raises:
        Mistake: no run or no such checkpoint there, or one that cannot be read.
    """
    workdir = Path(workdir)
    path = workdir / "config.json"
    if not path.is_file():
        raise Mistake(
            f"no config.json in {workdir}; expected the workdir of a training", setting="workdir"
        )
    config, remark = read_config(path)
    if remark:
        print(remark, flush=True)
    run = build(config)
    checkpoints = Checkpoints(workdir / "checkpoints")
    state, world_from_scene = checkpoints.load(run.shapes, step)
    checkpoints.close()
    return Trained(config, run, state.params, int(state.step), world_from_scene)


def changes(config: dict[str, Any], workdir: Path) -> list[str]:
    """What differs from the config of the run in a workdir, if there is one.

    The photos may have moved; whether they are the same is told where they are read.

    Raises:
        Mistake: another seed, data, field or batch.
    """
    path = workdir / "config.json"
    if not path.exists():
        return []
    written, remark = read_config(path)
    before, now = flat(written.to_dict()), flat(config)
    changed = {k: f"{k}: {before.get(k)} -> {now[k]}" for k in now if before.get(k) != now[k]}
    refused = [change for key, change in changed.items() if not _may_change(key)]
    if refused:
        raise Mistake(
            f"{workdir} holds a run of another config ({'; '.join(refused)}); expected the same",
            setting="workdir",
            remedy="or delete that one",
        )
    return [remark] * bool(remark) + list(changed.values())


def has_moved(config: Config, workdir: Path) -> bool:
    """Whether the photos of the run in a workdir are asked for elsewhere."""
    before: Config = read_config(workdir / "config.json")[0]
    return before.data.path != config.data.path


def leap(config: Config, workdir: Path, step: int) -> str:
    """How the learning rate leaps where a run goes on by another schedule; "" if it does not.

    Args:
        config: to go on with.
        workdir: of the run, with its config as it was.
        step: updates done.
    """
    before: Config = read_config(workdir / "config.json")[0]
    old, new = (float(learning_rate(c.train)(step)) for c in (before, config))
    if math.isclose(old, new, rel_tol=1e-3):
        return ""
    told = f"learning rate goes {'back ' * (new > old)}from {old:.2e} to {new:.2e}"
    told += ", worse before it gets better" * (new > old)
    by_length = all(
        before.train[k] == config.train[k] for k in ("learning_rate", "warmup", "decay")
    )
    kept = f" (train.schedule_steps={schedule_steps(before.train)} goes on without that)"
    return told + kept * by_length


def read_config(path: Path, *, setting: str = "workdir") -> tuple[ConfigDict, str]:
    """The config of a run over today's defaults, and a line on what is other than it was written.

    So a key that is new since then is no reason to refuse a run, nor is one that is no more.

    Args:
        path: of the file.
        setting: by which it was given.

    Raises:
        Mistake: a file that is not the JSON of a config, or that names no field.
    """
    with file_mistakes(setting):
        content = path.read_bytes()
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Mistake(
            f"{path} is not JSON ({error}); expected what training wrote", setting=setting
        ) from error
    written = flat(document) if isinstance(document, dict) else {}
    if "field.name" not in written:
        raise Mistake(f"{path} names no field; expected what training wrote", setting=setting)
    written = {_name_today(key): value for key, value in written.items()}
    known = _known_today(written)
    config = whole({key: value for key, value in written.items() if known(key)})
    filled = {k: v for k, v in flat(config.to_dict()).items() if k not in written}
    dropped = {k: v for k, v in written.items() if not known(k)}
    parts = [_listed(filled, "filled in"), _listed(dropped, "dropped, since unknown here")]
    told = "; ".join(part for part in parts if part)
    return config, f"config.json of another version: {told}" if told else ""


def whole(values: Mapping[str, Any]) -> ConfigDict:
    """A config with all that it leaves to defaults, those of its field's constructor too.

    The path of the photos means the same from every folder.

    Args:
        values: by their dotted keys.

    Raises:
        Mistake: as `with_defaults`.
    """
    own = {f"field.{k}": x for k, x in _settings(FIELDS, values.get("field.name")).items()}
    photos = values.get("data.path")
    path = {"data.path": lasting_path(photos)} if isinstance(photos, str) and photos else {}
    tree: dict[str, Any] = {}
    for key, value in {**own, **values, **path}.items():
        *sections, name = key.split(".")
        functools.reduce(lambda part, s: part.setdefault(s, {}), sections, tree)[name] = value
    return with_defaults(tree)


def _known_today(written: Mapping[str, Any]) -> Callable[[str], bool]:
    """Whether a key of a config of that field and renderer has a meaning."""
    own = {
        "field": {"name", *_settings(FIELDS, written.get("field.name"))},
        "render": {"name", *_settings(RENDERERS, written.get("render.name", "surface"))},
        "train.render": set(_settings(RENDERERS, written.get("render.name", "surface"))),
        "train.weights": set(LOSSES),
    }
    closed = flat(defaults().to_dict())

    def known(key: str) -> bool:
        section, _, name = key.rpartition(".")
        return name in own[section] if section in own else key in closed or key in own

    return known


def _settings(choices: Mapping[str, Callable], name: Any) -> dict[str, Any]:
    return settings_of(choices[name]) if isinstance(name, str) and name in choices else {}


def _name_today(key: str) -> str:
    for old, new in RENAMED.items():
        key = new + key.removeprefix(old) if key.startswith(f"{old}.") else key
    return key


def _may_change(key: str) -> bool:
    """Whether a run goes on with another value; photos may have moved."""
    fixed = key == "train.batch_size" or key.startswith("train.cameras.")
    return key == "data.path" or (key.startswith("train.") and not fixed)


def _listed(values: Mapping[str, Any], what: str) -> str:
    told = ", ".join(f"{key}={value!r}" for key, value in values.items())
    return told and f"{told} {what}"
