"""Which file of a folder is the mask of which photo: by the usual names, in the usual places."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

from neural_sdf.photos.files.folder import PHOTO_FOLDERS, PHOTO_SUFFIXES
from neural_sdf.photos.files.names import counted, folded, last_number, list_files

MASK_FOLDERS = ("mask", "masks", "silhouettes")  # the likeliest first; others come after them
_WORD = "(?:masks?|silhouettes?|alphas?|mattes?|segmentations?)"
_FOLDER = re.compile(rf"(?:.*[^a-z])?{_WORD}(?:[^a-z].*)?")
_BEFORE = re.compile(r"(?:dynamic_)?masks?[._-]+(.+)")  # mask_000.png
_BEHIND = re.compile(rf"(.+?)[._-]+(?:fg[._-]?|object[._-]?|foreground[._-]?)?{_WORD}")
# instant-ngp: masks of what moves and is to be left out, bright there.
_SHOWS_BACKGROUND = re.compile(r"(?:.*/)?dynamic_masks?(?:[._/-].*)?")


class MaskFile(NamedTuple):
    """A file that may be a mask.

    Attributes:
        path: of the file.
        home: the outermost folder of masks that it lies in, else its own.
        place: the folders that it lies in, but those of masks or of photos by their names.
        names: what its photo may be called, the likeliest first.
    """

    path: Path
    home: Path
    place: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def rank(self) -> tuple[int, Path]:
        """Of several masks of one photo the one of least rank is taken."""
        name = self.home.name.casefold()
        return (*MASK_FOLDERS, name).index(name), self.path


class Masks(NamedTuple):
    """Masks of photos.

    Attributes:
        paths: of each photo's mask, None where it has none.
        unused: files that are masks by their names, and no photo's.
        doubtful: of those, each with the photos any of which it may be of.
    """

    paths: list[Path | None]
    unused: list[Path]
    doubtful: dict[Path, list[Path]]


def find_masks(folder: Path, images: Sequence[Path], taken: Collection[Path] = ()) -> Masks:
    """The mask of each photo of a set.

    Masks lie in folders with a name like `masks`, anywhere in the set, or beside their photos. One
    is called like its photo (`000.png`, `000.jpg.png`) or as other tools do it (`000_mask.png`,
    `000.jpg.mask.png`, `mask_000.png`), and lies in a folder of the same name where the photos of
    a set lie in several; else it is taken by its name alone, if one photo alone has that. A folder
    of exactly as many masks as there are photos, not all of which have a photo's name, is paired as
    `in_order` has it: by numbers, or, where none has a photo's name, in order. No mask is taken
    twice. A photo without a mask, where others have one, gets the path where its mask is expected.

    Args:
        folder: of the set.
        images: its photos, one for each frame.
        taken: files that are photos or masks already.
    """
    photos = {*images, *taken}
    files = [file for file in list_files(folder) if file not in photos]
    masks = [mask for file in files if (mask := as_mask(folder, file))]
    above = {place for image in images for place in image.parents}  # else they are another set's
    distinct = list(dict.fromkeys(images))  # a photo may have several frames
    found = _pair(folder, distinct, [mask for mask in masks if _beside(mask) in above])
    of_photo = dict(zip(distinct, found.paths, strict=True))
    return found._replace(paths=[of_photo[image] for image in images])


def pair_masks(place: Path, images: Sequence[Path]) -> Masks:
    """As `find_masks`, of a folder in which every image is a mask, and of photos anywhere."""
    masks = [_mask_file(place, file) for file in list_files(place)]
    return _pair(place, [place / image.name for image in images], masks)


def as_mask(folder: Path, file: Path) -> MaskFile | None:
    """A file of a set as a mask; None if it is none by its name."""
    inner = file.relative_to(folder)
    in_folder = any(_FOLDER.fullmatch(part.casefold()) for part in inner.parts[:-1])
    return _mask_file(folder, file) if in_folder or len(_names(file)) > 2 else None


def _beside(mask: MaskFile) -> Path:
    """The folder that holds a mask, or its folder of masks."""
    return mask.home.parent if _FOLDER.fullmatch(folded(mask.home.name)) else mask.home


def shows_background(mask: PurePath) -> bool:
    """Whether a mask is bright on what is to be left out, by its name."""
    return bool(_SHOWS_BACKGROUND.fullmatch(mask.as_posix().casefold()))


def _pair(folder: Path, images: Sequence[Path], masks: Sequence[MaskFile]) -> Masks:
    found = _by_name(folder, images, masks)
    files = [] if all(found) else _as_many(masks, len(images))
    if files and (not any(found) or by_number(images, files)):
        found = in_order(images, files)
    times = Counter(path for path in found if path)
    paths = [path if path and times[path] == 1 else None for path in found]
    unused = [mask for mask in masks if mask.path not in set(paths)]
    doubtful = {
        mask.path: these
        for mask in unused
        if len(these := [i for i in images if {folded(i.name), folded(i.stem)} & set(mask.names)])
        > 1
    }
    paths = [
        path or (None if doubtful else _expected(image, images, paths))
        for path, image in zip(paths, images, strict=True)
    ]
    return Masks(paths, [mask.path for mask in unused], doubtful)


def _by_name(folder: Path, images: Sequence[Path], masks: Sequence[MaskFile]) -> list[Path | None]:
    """The mask of each photo by place and name, or by a name that is there once."""
    by_place, by_name = defaultdict(list), defaultdict(list)
    for mask in masks:
        for order, name in enumerate(mask.names):
            by_place[mask.place, name].append((order, mask.rank, mask.path))
            by_name[name].append((order, mask.rank, mask.path))
    stems = Counter(folded(image.stem) for image in images)
    found = []
    for image in images:
        place, names = _place(folder, image), (folded(image.stem), folded(image.name))
        these = [entry for n in names for entry in by_place[place, n]]
        if not these and stems[names[0]] == 1:
            these = [entry for n in names for entry in by_name[n]]
            these = these if len({path.parent for *_, path in these}) == 1 else []
        found.append(min(these)[-1] if these else None)
    return found


def _as_many(masks: Sequence[MaskFile], count: int) -> list[Path]:
    """The masks of the likeliest folder that holds as many as there are photos, if one does."""
    by_home = defaultdict(list)
    for mask in sorted(masks, key=lambda mask: mask.rank):
        by_home[mask.home].append(mask.path)
    return next((these for these in by_home.values() if len(these) == count), [])


def in_order(images: Sequence[Path], masks: Sequence[Path]) -> list[Path]:
    """The mask of each photo, of as many: that of its number, else in order, 2 before 10."""
    numbered = by_number(images, masks)
    if numbered:
        return numbered
    order = sorted(range(len(images)), key=lambda i: counted(images[i]))
    paired = dict(zip(order, sorted(masks, key=counted), strict=True))
    return [paired[i] for i in range(len(images))]


def by_number(images: Sequence[Path], masks: Sequence[Path]) -> list[Path]:
    """The mask of each photo by the last numbers in their names; none unless all match."""
    wanted = [last_number(image) for image in images]
    found = {last_number(mask): mask for mask in masks}
    match = len(found) == len(masks) == len(images) and found.keys() == set(wanted)
    return [found[number] for number in wanted] if match else []


def _expected(image: Path, images: Sequence[Path], masks: Sequence[Path | None]) -> Path | None:
    """Where a photo's mask would be, after the example of another photo's."""
    ours = image.parent.parts
    pairs = [(o, m) for o, m in zip(images, masks, strict=True) if m and o.stem in m.name]
    if not pairs:
        return None
    other, mask = min(pairs, key=lambda pair: (pair[0].parent != image.parent, pair))
    theirs = other.parent.parts
    renamed = dict(zip(theirs, ours, strict=False))
    place = Path(*(renamed.get(part, part) for part in mask.parent.parts), *ours[len(theirs) :])
    return place / mask.name.replace(other.stem, image.stem)


def _mask_file(folder: Path, file: Path) -> MaskFile:
    above = [place for place in reversed(file.parents) if place.is_relative_to(folder)]
    homes = [place for place in above[1:] if _FOLDER.fullmatch(folded(place.name))]
    return MaskFile(file, next(iter(homes), file.parent), _place(folder, file), _names(file))


def _names(file: Path) -> tuple[str, ...]:
    """What a mask's photo may be called: with and without suffix, and without `mask`."""
    name = folded(file.stem)
    bare = [m[1] for habit in (_BEFORE, _BEHIND) if (m := habit.fullmatch(name))]
    names = [name, *bare]
    names += [n.rpartition(".")[0] for n in bare if n.endswith(PHOTO_SUFFIXES)]
    return tuple(dict.fromkeys([name, folded(file.name), *names]))


def _place(folder: Path, file: Path) -> tuple[str, ...]:
    """The folders of a file that say whose it is."""
    parts = (folded(part) for part in file.relative_to(folder).parts[:-1])
    return tuple(p for p in parts if not _FOLDER.fullmatch(p) and not _is_photos(p))


def _is_photos(part: str) -> bool:
    return part in PHOTO_FOLDERS or re.fullmatch(r"images_\d+", part) is not None
