"""The doctor: everything that is wrong with a photo set, all at once, with remedies."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from neural_sdf.geometry import coordinates
from neural_sdf.mistake import Mistake, with_settings
from neural_sdf.photos.files.capture import Capture, Header, View
from neural_sdf.photos.files.findings import DataError, Finding
from neural_sdf.photos.files.folder import find_set
from neural_sdf.photos.files.lens import Window
from neural_sdf.photos.files.views import read_outline, read_view
from neural_sdf.photos.inspection.brightness import uneven_brightness
from neural_sdf.photos.inspection.readings import Views
from neural_sdf.photos.layouts import read_capture, recognise, several_layouts
from neural_sdf.photos.load import read_scene
from neural_sdf.photos.outlines.region import given_region
from neural_sdf.photos.settings import Settings, read_settings
from neural_sdf.photos.views import find_views, none_left, usable_views
from neural_sdf.scenes.frame import world_from_camera
from neural_sdf.scenes.scene import Scene, view_mask, view_photo, view_photos

LONGEST = 800  # pixels of a photo's longer side that the doctor reads
NOISY = "pose-noise"  # the finding of cameras by which places cannot be found again
LOOKED_AT = 16  # photos, where masks are files: decoding all would take most of the time


class Report(NamedTuple):
    """What the doctor found.

    Attributes:
        path: of the set.
        format: of its layout; empty if it was not recognised.
        num_views: that the layout names.
        findings: errors first, then warnings, then notes.
        scene: as far as it could be read, None if it could not. Photos whose masks are files of
            their own are black, but for some of them, the first among these.
    """

    path: str
    format: str
    num_views: int
    findings: tuple[Finding, ...]
    scene: Scene | None

    @property
    def is_usable(self) -> bool:
        """Whether it can be trained on."""
        return self.scene is not None and all(f.level != "error" for f in self.findings)


def inspect_scene(
    path: str | Path,
    *,
    format: str = "auto",
    cameras: str = "",
    mask_shows: str = "object",
    skip_missing: bool = False,
    centre: Sequence[float] | None = None,
    radius: float | None = None,
    box: Sequence[float] | None = None,
) -> Report:
    """Checks everything about a photo set, as it is read with these settings.

    Args:
        path: as for `load_scene`.
        format: as in `Settings`.
        cameras: as in `Settings`.
        mask_shows: as in `Settings`.
        skip_missing: as in `Settings`.
        centre: as in `Settings`.
        radius: as in `Settings`.
        box: as in `Settings`.

    Raises:
        Mistake: if a setting is out of range, the layout unknown or not to be recognised.
    """
    region = {"centre": centre, "radius": radius, "box": box}
    settings = read_settings({"mask_shows": mask_shows, "skip_missing": skip_missing, **region})
    given_region(**region)
    names = list(recognise(path, format))
    name, findings = names[0], list(several_layouts(names))
    try:
        capture = read_capture(path, format=name, cameras=cameras)
    except DataError as error:
        return Report(str(path), name, 0, (error.finding, *findings), None)
    except Mistake as error:
        finding = Finding("unreadable-cameras", "error", error.text, "")
        return Report(str(path), name, 0, (finding, *findings), None)
    scene = _read(find_set(path), capture, settings, findings)
    if scene is not None and not scene.source.has_masks:
        # Late, since it imports scikit-image, which most sets do without.
        from neural_sdf.photos.inspection.matches import diagnose_by_matches

        findings += diagnose_by_matches(view_photos(scene), _cameras(scene))
    elif scene is not None and not any(f.level == "error" or f.code == NOISY for f in findings):
        findings += _brightness(scene)  # places can be told by cameras that are right
    rank = ("error", "warning", "note").index
    findings.sort(key=lambda finding: rank(finding.level))
    return Report(str(path), name, len(capture.views), tuple(findings), scene)


def as_text(report: Report, typed: Callable[[str], str] = str) -> str:
    """The report for a person: what was found, then each finding with its remedy.

    Args:
        report: of a set.
        typed: setting of `load_scene` -> how it is given.
    """
    lines = [f"{report.path}: layout {report.format}, {report.num_views} views"]
    if report.scene is not None:
        frame = report.scene.world_from_scene
        centre = coordinates(np.asarray(frame.translation), float(frame.scale))
        lines.append(
            f"region of interest: radius {float(frame.scale):.4g} about ({centre}) in world units,"
            f" from {report.scene.source.region}"
        )
    for finding in report.findings:
        lines.append(f"{finding.level}: {finding.code}: {with_settings(finding.message, typed)}")
        lines += [f"  to mend: {with_settings(finding.remedy, typed)}"] * bool(finding.remedy)
    counts = Counter(finding.level for finding in report.findings)
    told = ", ".join(f"{n} {level}{'s' * (n != 1)}" for level, n in counts.items())
    verdict = "can be trained on" if report.is_usable else "cannot be trained on as it is"
    lines.append(f"{told or 'nothing found'}; the set {verdict}")
    return "\n".join(lines)


def as_json(report: Report) -> str:
    """The report for a program."""
    scene = report.scene
    region = None
    if scene is not None:
        region = {
            "centre": np.asarray(scene.world_from_scene.translation).tolist(),
            "radius": float(scene.world_from_scene.scale),
            "found_by": scene.source.region,
        }
    document = {
        "path": report.path,
        "format": report.format,
        "num_views": report.num_views,
        "usable": report.is_usable,
        "region": region,
        "findings": [
            finding._replace(
                message=with_settings(finding.message), remedy=with_settings(finding.remedy)
            )._asdict()
            for finding in report.findings
        ],
    }
    return json.dumps(document, indent=1)


def _read(
    folder: Path, capture: Capture, settings: Settings, findings: list[Finding]
) -> Scene | None:
    """The scene as far as it can be read; adds to the findings what is wrong with it."""
    skip = settings.skip_missing
    usable = usable_views(folder, capture, skip_missing=skip, report=findings.append)
    if not usable.views:
        if skip and not any(finding.level == "error" for finding in findings):
            left = none_left(folder, len(capture.views)).text
            findings.append(Finding("missing-files", "error", left, ""))
        return None
    headers = [usable.headers[view.name] for view in usable.views]
    settings = settings._replace(downscale=_downscale(headers))
    found = find_views(folder, capture, usable, settings)
    few = _few(len(found.views))
    looked_at = {v.name for i, v in enumerate(found.views) if v.mask is None or i in few}

    def read(view: View, window: Window, **how: Any) -> tuple[np.ndarray, np.ndarray]:
        return (read_view if view.name in looked_at else read_outline)(view, window, **how)

    return read_scene(found, settings, findings.append, read=read)


def _few(num_views: int) -> list[int]:
    """The views whose photos are looked at, evenly chosen."""
    return np.unique(np.linspace(0, num_views - 1, LOOKED_AT).round().astype(int)).tolist()


def _brightness(scene: Scene) -> Iterator[Finding]:
    few = _few(len(scene.source.names))
    return uneven_brightness(
        [view_photo(scene, i) for i in few],
        [view_mask(scene, i) for i in few],
        np.asarray(scene.intrinsics)[few],
        np.asarray(scene.scene_from_camera)[few],
    )


def _downscale(headers: Sequence[Header]) -> int:
    """So that the typical photo is small, and every photo is left a pixel."""
    longest = [max(header[:2]) for header in headers]
    shortest = min(min(header[:2]) for header in headers)
    return max(1, min(int(np.median(longest)) // LONGEST, shortest))


def _cameras(scene: Scene) -> Views:
    """The views of a scene without masks."""
    return Views(
        scene.source.names,
        np.array(scene.source.indices),
        (),
        np.asarray(scene.intrinsics),
        world_from_camera(scene),
        np.asarray(scene.sizes),
    )
