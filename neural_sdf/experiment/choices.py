"""The constructor that a section of a config names, and whether its settings are its own."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from neural_sdf.mistake import Mistake

LARGEST = 2**31  # no setting is so large
KINDS = {
    "int": (int, "a whole number"),
    "float": ((int, float), "a number"),
    "bool": (bool, "True or False"),
    "str": (str, "a text"),
}


def chosen(choices: Mapping[str, Callable], section: Any, what: str) -> Callable:
    """The constructor that a config section names, with the section's settings.

    Args:
        choices: constructors by name.
        section: a ConfigDict, of `name` and settings of the constructor of that name.
        what: the section, "field".

    Raises:
        Mistake: an unknown name, or a setting that the constructor does not take.
    """
    settings = section.to_dict()
    name = settings.pop("name", None)
    if not isinstance(name, str) or name not in choices:
        raise Mistake(
            f"{what} name {name!r} is unknown; expected one of {sorted(choices)}",
            setting=f"{what}.name",
        )
    check_settings(choices[name], settings, f"{what} {name}", what)
    return functools.partial(choices[name], **settings)


def check_settings(
    constructor: Callable, settings: Mapping[str, Any], what: str, section: str
) -> None:
    """Refuses settings that a constructor does not take, by its signature.

    Args:
        constructor: takes its settings by keyword, with defaults.
        settings: from a config.
        what: the constructor for a person, "field mlp".
        section: of the config that the settings are from, "field".

    Raises:
        Mistake: a setting of another name or kind.
    """
    expected = settings_of(constructor)
    strange = [name for name in settings if name not in expected]
    if strange:
        raise Mistake(
            f"{what} has no setting {', '.join(map(repr, strange))}; expected some of "
            f"{sorted(expected)}",
            remedy=f"give a --config whose section {section} is written for {what}",
        )
    for name, value in settings.items():
        annotation = inspect.signature(constructor).parameters[name].annotation
        kind, words = KINDS.get(getattr(annotation, "__name__", annotation), (object, ""))
        is_right = isinstance(value, kind) and isinstance(value, bool) == (kind is bool)
        if is_right and isinstance(value, int | float) and not abs(value) < LARGEST:  # NaN too
            is_right, words = False, "a finite number less than 2^31"
        if words and not is_right:
            setting = f"{section}.{name}"
            raise Mistake(f"{what} {name} is {value!r:.40}; expected {words}", setting=setting)


def settings_of(constructor: Callable) -> dict[str, Any]:
    """What a config may set of a constructor, with its defaults: its keywords."""
    parameters = inspect.signature(constructor).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
