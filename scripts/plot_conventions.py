"""Draws the conventions of camera files in one picture, for docs/data.md.

    python scripts/plot_conventions.py --output=docs/conventions.png

Needs matplotlib: pip install -e '.[docs]'.
"""

import io
from pathlib import Path
from typing import Any

from absl import flags

from neural_sdf import launch

OUTPUT = flags.DEFINE_string("output", "", "the PNG file to write")

# Axes of the camera as seen from behind it: x, y and z as (right, up, towards what it looks at).
CAMERAS = {
    "OpenCV: idr, colmap, blended_mvs,\nmiddlebury, projections; this project": (
        *((1, 0, 0), (0, -1, 0), (0, 0, 1)),
    ),
    "OpenGL: transforms\n(Blender, nerfstudio, instant-ngp)": ((1, 0, 0), (0, 1, 0), (0, 0, -1)),
    "LLFF: poses_bounds.npy": ((0, -1, 0), (1, 0, 0), (0, 0, -1)),
}
COLOURS = {"x": "#c03030", "y": "#2f8f3f", "z": "#2f5fc0"}
PIXELS = {
    "centre of the first pixel at (0.5, 0.5):\ntransforms, colmap, llff; this project": 0.5,
    "centre of the first pixel at (0, 0):\nidr, blended_mvs, middlebury, projections": 0.0,
}


def main() -> None:
    """Imports the work late, so that --help and a mistyped flag need not wait."""
    from neural_sdf.machine.files import replace_file

    replace_file(Path(OUTPUT.value), picture())
    print(OUTPUT.value)


def picture() -> bytes:
    """Camera axes above, pixel coordinates and frames below, as a PNG file."""
    from matplotlib.figure import Figure  # pyright: ignore[reportMissingImports] (extra [docs])

    figure = Figure(figsize=(12, 7.2), layout="constrained")
    panels = figure.subplots(2, 3)
    for panel, (title, axes) in zip(panels[0], CAMERAS.items(), strict=True):
        draw_camera(panel, title, axes)
    for panel, (title, first) in zip(panels[1], PIXELS.items(), strict=False):
        draw_pixels(panel, title, first)
    draw_frames(panels[1, 2])
    for panel in panels.flat:
        panel.set_aspect("equal")
        panel.axis("off")
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110, metadata={"Software": None})
    return file.getvalue()


def draw_camera(panel: Any, title: str, axes: tuple[tuple[int, int, int], ...]) -> None:
    """A camera seen from behind, above and to the left, with its axes."""

    def flat(right: float, up: float, ahead: float) -> tuple[float, float]:
        return right + 0.45 * ahead, up + 0.35 * ahead

    corners = [flat(x, y, 1.0) for x, y in ((-0.6, -0.4), (0.6, -0.4), (0.6, 0.4), (-0.6, 0.4))]
    panel.fill(*zip(*corners, strict=True), facecolor="#f0ead8", edgecolor="#555555")
    for corner in corners:
        panel.plot(*zip((0, 0), corner, strict=True), color="#888888", linewidth=0.8)
    for (name, colour), axis in zip(COLOURS.items(), axes, strict=True):
        end = flat(*(1.1 * x for x in axis))
        arrow = {"arrowstyle": "-|>", "color": colour, "linewidth": 2.2}
        panel.annotate("", xy=end, xytext=(0, 0), arrowprops=arrow)
        panel.text(1.12 * end[0] + 0.03, 1.12 * end[1], name, color=colour, fontsize=14)
    panel.set_xlim(-1.3, 1.6)
    panel.set_ylim(-1.3, 1.3)
    panel.set_title(title, fontsize=10)


def draw_pixels(panel: Any, title: str, first: float) -> None:
    """The first pixels of a photo with the coordinates of their centres."""
    for k in range(5):
        panel.plot((k, k), (0, -3), color="#555555", linewidth=0.8)
    for k in range(4):
        panel.plot((0, 4), (-k, -k), color="#555555", linewidth=0.8)
    for column in range(4):
        for row in range(3):
            panel.plot(column + 0.5, -row - 0.5, ".", color=COLOURS["z"])
            place = f"{column + first:g}, {row + first:g}"
            panel.text(column + 0.5, -row - 0.8, place, ha="center", fontsize=8)
    panel.text(2, 0.15, "column, to the right", ha="center", fontsize=8)
    panel.text(-0.15, -1.5, "row, down", va="center", ha="right", rotation=90, fontsize=8)
    panel.set_xlim(-0.8, 4.4)
    panel.set_ylim(-3.4, 0.6)
    panel.set_title(title, fontsize=10)


def draw_frames(panel: Any) -> None:
    """The world of the photos and the unit sphere of the scene in it."""
    from matplotlib.patches import Circle  # pyright: ignore[reportMissingImports]

    panel.add_patch(Circle((2.2, 1.6), 0.9, fill=False, color=COLOURS["z"]))
    panel.add_patch(Circle((2.2, 1.6), 0.75, facecolor="#f0ead8", edgecolor="#555555"))
    arrow = {"arrowstyle": "-|>", "linewidth": 1.6, "color": "#333333"}
    for end in ((1.0, 0), (0, 1.0)):
        panel.annotate("", xy=end, xytext=(0, 0), arrowprops=arrow)
    panel.annotate("", xy=(2.2, 1.6), xytext=(0, 0), arrowprops={**arrow, "linestyle": "--"})
    panel.annotate(
        "", xy=(3.1, 1.6), xytext=(2.2, 1.6), arrowprops={**arrow, "color": COLOURS["z"]}
    )
    panel.text(-0.1, -0.3, "world: the cameras' own frame and units", fontsize=8)
    panel.text(0.15, 0.85, "translation", fontsize=8)
    panel.text(2.35, 1.68, "scale", fontsize=8, color=COLOURS["z"])
    panel.text(2.2, 0.5, "scene: the region as unit sphere", ha="center", fontsize=8)
    panel.set_xlim(-0.4, 4)
    panel.set_ylim(-0.6, 3)
    panel.set_title("world_from_scene: x → scale · rotation · x + translation", fontsize=10)


if __name__ == "__main__":
    launch.run(main, required=["output"])
