"""The doctor: everything that is wrong with a photo set, all at once, with remedies."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from neural_sdf.mistake import with_settings
from neural_sdf.photos.files.capture import View
from neural_sdf.photos.files.findings import DataError, Finding
from neural_sdf.photos.inspection import checks
from neural_sdf.photos.inspection.diagnosis import Views
from neural_sdf.photos.inspection.matches import diagnose_by_matches
from neural_sdf.photos.load import read_capture, recognise, survey
from neural_sdf.scenes.frame import world_from_camera
from neural_sdf.scenes.scene import Scene, view_pixels

LONGEST = 800  # pixels of a photo's longer side that the doctor reads


class Report(NamedTuple):
    """What the doctor found.

    Attributes:
        path: of the set.
        format: of its layout; empty if it was not recognised.
        num_views: that the layout names.
        findings: errors first, then warnings, then notes.
        scene: as far as it could be read; None if it could not.
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
) -> Report:
    """Checks everything about a photo set; the arguments are those of `load_scene`.

    Raises:
        ValueError: if the layout is unknown or not to be recognised.
        FileNotFoundError: if the folder is missing.
    """
    name = recognise(path, format)
    findings: list[Finding] = []
    try:
        capture = read_capture(path, format=name, cameras=cameras)
    except DataError as error:
        return Report(str(path), name, 0, (error.finding,), None)
    except ValueError as error:
        finding = Finding("unreadable-cameras", "error", getattr(error, "text", str(error)), "")
        return Report(str(path), name, 0, (finding,), None)
    scene = survey(
        path,
        format=name,
        downscale=_downscale(capture.views),
        cameras=cameras,
        holdout_every=8,
        holdout_offset=4,
        holdout_views=(),
        centre=None,
        radius=None,
        box=None,
        background=1.0,
        mask_shows=mask_shows,
        skip_missing=False,
        report=findings.append,
    )
    if scene is not None and not scene.source.has_masks:
        findings += diagnose_by_matches(*_photos(scene))
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
        centre = ", ".join(f"{x:.4g}" for x in np.asarray(frame.translation))
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


def _downscale(views: Sequence[View]) -> int:
    """So that the typical photo is small, and every photo is left a pixel."""
    present = [view for view in views if view.image.is_file()]
    headers = checks.open_files([view._replace(mask=None) for view in present])[0].values()
    longest = [max(header[:2]) for header in headers] or [LONGEST]
    shortest = min((min(header[:2]) for header in headers), default=LONGEST)
    return max(1, min(int(np.median(longest)) // LONGEST, shortest))


def _photos(scene: Scene) -> tuple[list[np.ndarray], Views]:
    """Photos and cameras of a scene without masks."""
    rgb = np.asarray(scene.rgb)
    photos = [
        rgb[view_pixels(scene, i)].reshape(*(int(side) for side in size), 3)
        for i, size in enumerate(scene.sizes)
    ]
    source = scene.source
    indices = np.array(source.indices)
    return photos, Views(
        source.names, indices, (), np.asarray(scene.intrinsics), world_from_camera(scene)
    )
