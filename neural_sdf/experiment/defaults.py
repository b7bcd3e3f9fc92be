"""Every key of a config, what it means, and its value where a file of configs/ gives no other.

The settings of `field`, and of a renderer of another name, are those of the constructor that the
section names. Imports no JAX, so that a mistyped flag is answered at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict, config_dict

from neural_sdf.mistake import Mistake

# Sections whose keys are settings of what is named there, or names themselves.
OPEN = ("field.", "render.", "train.render.", "train.weights.", "train.cameras.")


def defaults() -> ConfigDict:
    """A config but for its field; lengths are in the scene's units, where the object has radius 1.

    `data.centre`, `data.radius` and `data.box` are in those of the photos' world.
    """
    return config_dict.create(
        seed=0,  # of all randomness: start, pixels, points
        data=dict(  # what `photos.load_scene` takes; the embedded scenes heed downscale alone
            path="",  # folder of the photo set, or name of a prepared dataset
            format="auto",  # its layout; told by its files if auto
            downscale=1,  # photos are reduced by this whole factor
            cameras="",  # camera file or folder, where a layout has several; the usual one if empty
            holdout_every=8,  # one view in so many is held out; 0 for none
            holdout_offset=4,  # the first of them, in the order of the files, from 0
            holdout_views=(),  # exactly these are held out instead
            centre=config_dict.placeholder(tuple),  # of the region of interest; found if None
            radius=config_dict.placeholder(float),  # of the region of interest; found if None
            box=config_dict.placeholder(tuple),  # its lower and upper corner, instead of both
            background=1.0,  # the grey behind transparent photos, in [0, 1]
            mask_shows="object",  # what is bright in mask files; or "background"
            skip_missing=False,  # leave out views whose files are missing
        ),
        render=dict(
            name="surface",
            dmin=2e-3,  # least step of the march
            max_steps=128,  # of the march, before a ray counts as a miss
        ),
        train=dict(
            steps=6000,  # updates in all
            # That the schedule is laid out over: of the rate, the mask's sharpness, coarse to fine.
            # After them all stays as it ended. As many as `steps` if None.
            schedule_steps=config_dict.placeholder(int),
            batch_size=1024,  # rays a step
            learning_rate=2e-3,  # the highest, after the warm-up
            warmup=100,  # steps of the rise to it
            weight_decay=0.0,  # of what colour alone stores of places, in units of the rate
            decay="cosine",  # of the rate to the end; or "halving", at 1/2 and 3/4 of the steps
            render=dict(dmin=1e-2, max_steps=40),  # laid over `render` in training: coarse, fast
            cameras=dict(name="given"),  # as the photos' files say
            # Of the losses, by name. With `agreed` or `in_front` photos are compared first, with
            # `alike` in every step.
            weights=dict(colour=1.0, eikonal=0.1, mask=30.0),
            # GiB; photos that take more stay on the host, and `alike` compares smaller ones.
            device_photos=4.0,
            log_every=50,  # steps from line to line of metrics.jsonl
            checkpoint_every=500,  # steps
        ),
    )


def with_defaults(settings: Mapping[str, Any]) -> ConfigDict:
    """A whole config from what differs from the defaults; no key can be added to it.

    `train.render` and `train.weights` are taken as given, not laid over theirs; so is `render`
    if it names another renderer.

    Raises:
        Mistake: a key that there is not, or a value of another kind.
    """
    config: Any = defaults()  # whose attributes no type checker knows
    given = flat(settings)
    known = flat(config.to_dict())
    _check_kinds(given, known)
    strange = [k for k in given if k not in known and not f"{k}.".startswith(OPEN)]
    if strange:
        section = strange[0].rpartition(".")[0]
        beside = [k for k in known if k.rpartition(".")[0] == section] or [*config.keys(), "field"]
        raise Mistake(f"the config has no key {strange[0]!r}; expected one of {beside}")
    if given.get("render.name", config.render.name) != config.render.name:
        config.render, config.train.render = ConfigDict(), ConfigDict()
    for name in {"render", "weights"} & set(settings.get("train", {})):
        config.train[name] = ConfigDict()
    try:
        config.update(settings)
    except (TypeError, OverflowError) as error:
        told = " ".join(str(error).split())
        raise Mistake(f"the config has a value of another kind: {told}") from error
    return config.lock()


def _check_kinds(given: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Refuses what `ConfigDict.update` takes, or stumbles over: nothing, and no section for one."""
    sections = {key.rpartition(".")[0] for key in known} - {""} | {"field"}
    for key, value in given.items():
        if key in sections and value != {}:
            raise Mistake(f"the config has {key}={value!r:.40}; expected a section of keys")
        usual = known.get(key)
        is_text = isinstance(usual, str)
        if usual is not None and (value is None or (is_text and not isinstance(value, str))):
            raise Mistake(f"the config has {key}={value!r:.40}; expected a value like {usual!r}")


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values of a config by their dotted keys; an empty section is a value."""
    values = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            values |= flat(value, f"{prefix}{key}.")
        else:
            values[prefix + key] = list(value) if isinstance(value, tuple) else value
    return values
