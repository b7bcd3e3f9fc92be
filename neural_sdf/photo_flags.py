"""The flags by which a command reads a photo set: each is a field of `photos.Settings`."""

import functools
import re
from collections.abc import Mapping
from typing import Any

from absl import flags

flags.disclaim_key_flags()  # so that --help shows them as the command's own


class _Numbers(flags.ArgumentParser):
    """Numbers as a config takes them, (0, 0, 1), or without the brackets."""

    syntactic_help = "numbers with commas between them"

    def parse(self, argument: str) -> tuple[float, ...]:
        """The numbers of a flag's text.

        Raises:
            ValueError: if it has something else.
        """
        try:
            return tuple(float(word) for word in re.split("[, ]+", argument.strip("()[] ")))
        except ValueError as error:
            raise ValueError("expected numbers with commas between them, as 0,0,1") from error


_numbers = functools.partial(flags.DEFINE, _Numbers())
_DEFINE = {
    "format": (flags.DEFINE_string, "auto", "the set's layout; told by its files if auto"),
    "cameras": (flags.DEFINE_string, "", "the camera file or folder; the usual one if empty"),
    "mask_shows": (
        functools.partial(flags.DEFINE_enum, enum_values=["object", "background"]),
        *("object", "what is bright in mask files"),
    ),
    "skip_missing": (flags.DEFINE_bool, False, "leave out views whose files are missing"),
    "centre": (_numbers, None, "x,y,z of the region of interest, in world units"),
    "radius": (flags.DEFINE_float, None, "of the region of interest, in world units"),
    "box": (
        _numbers,
        *(None, "the region's lower and upper corner, six world coordinates; instead of both"),
    ),
}


def define(*names: str) -> dict[str, flags.FlagHolder]:
    """Defines flags for the calling command, by the names of their settings."""
    holders = {}
    for name in names:
        flag, default, about = _DEFINE[name]
        holders[name] = flag(name=name, default=default, help=about)
    return holders


def values(holders: Mapping[str, flags.FlagHolder]) -> dict[str, Any]:
    """What `load_scene` and its like take by name, after the flags were parsed."""
    return {name: holder.value for name, holder in holders.items()}
