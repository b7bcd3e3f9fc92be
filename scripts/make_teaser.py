"""Draws the picture at the top of the README: photos, and the mesh that was learned from them.

    python scripts/make_teaser.py --workdir=runs/quickstart --output=docs/teaser.png

The mesh is the one that export_mesh.py writes, its triangles drawn one by one.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from absl import flags

from neural_sdf import launch

if TYPE_CHECKING:
    import trimesh
    from PIL.Image import Image

    from neural_sdf.scenes import Scene

WORKDIR = flags.DEFINE_string("workdir", "", "the folder of the trained run")
OUTPUT = flags.DEFINE_string("output", "docs/teaser.png", "the PNG file to write")

WIDTH, HEIGHT = 1200, 420
PANEL = 348  # height and width of a drawn mesh, and height of the photos
TOP = 16  # of panels and photos
GRID, GAP = 3, 6  # photos a side, and the space between them
INK = (70, 70, 70)
FINER = 3  # the mesh is drawn this much larger and scaled down
MARGIN = 0.04  # round a drawn mesh, of the panel
CAMERA_DISTANCE = 3.0  # from the centre of the scene, whose radius is 1


class View(NamedTuple):
    """Corners of the visible triangles in an image, the farthest triangle first.

    Attributes:
        corners: (column, row), [F, 3, 2].
        faces: which triangles of the mesh they are, [F].
    """

    corners: np.ndarray
    faces: np.ndarray


def main() -> None:
    """Imports the work late, so that --help and a mistyped flag need not wait for JAX."""
    from neural_sdf.experiment.workdir import load_trained
    from neural_sdf.machine.files import replace_file
    from neural_sdf.photos import load_scene

    scene = load_scene(**load_trained(WORKDIR.value).config.data)
    mesh = exported_mesh(WORKDIR.value, scene)
    picture = compose(scene, mesh)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    replace_file(Path(OUTPUT.value), buffer.getvalue())
    print(f"{OUTPUT.value}: {picture.width}x{picture.height} pixels, {buffer.tell() // 1000} kB")


def exported_mesh(workdir: str, scene: Scene) -> trimesh.Trimesh:
    """The mesh as `export_mesh` writes it, read back and moved into the scene frame."""
    import trimesh

    from neural_sdf.experiment.export import export_mesh
    from neural_sdf.geometry import inverse, transform_points

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mesh.ply"
        with contextlib.redirect_stdout(None):  # it would name a file that is soon gone
            export_mesh(workdir, path, resolution=192)
        mesh = trimesh.load_mesh(path, process=False)
    scene_from_world = inverse(scene.world_from_scene)
    mesh.vertices = np.asarray(transform_points(scene_from_world, np.asarray(mesh.vertices)))
    return mesh


def compose(scene: Scene, mesh: trimesh.Trimesh) -> Image:
    """Photos, an arrow, the mesh in its colours, and the mesh in clay from the other side."""
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(picture)
    photos, coloured, clay = 24, 462, 828  # left edges
    for number, tile in enumerate(some_photos(scene)):
        row, column = divmod(number, GRID)
        step = tile.width + GAP
        picture.paste(tile, (photos + column * step, TOP + row * step))
    arrow(draw, photos + PANEL + 22, TOP + PANEL // 2, length=52)
    front, side = pose(azimuth=-38, elevation=34), pose(azimuth=68, elevation=24)
    picture.paste(drawing(mesh, learned_colours(mesh), front), (coloured, TOP))
    picture.paste(drawing(mesh, clay_colours(mesh, side), side), (clay, TOP))
    for left, text in (
        (photos, "photos with cameras and masks"),
        (coloured, "mesh, with the learned colours"),
        (clay, "the same mesh in clay"),
    ):
        label(draw, left + PANEL // 2, HEIGHT - 34, text)
    return picture


def some_photos(scene: Scene) -> list[Image]:
    """Photos to train on, evenly chosen, each as a square tile."""
    from PIL import Image

    from neural_sdf.scenes import view_photo

    size = (PANEL - (GRID - 1) * GAP) // GRID
    tiles = []
    for view in np.linspace(0, int(scene.num_train) - 1, GRID**2).round().astype(int):
        tile = Image.fromarray(view_photo(scene, view)).resize(
            (size, size), Image.Resampling.LANCZOS
        )
        tiles.append(framed(tile))
    return tiles


def framed(tile: Image) -> Image:
    """A photo with a thin grey edge, which keeps its white ground apart from the page's."""
    from PIL import ImageDraw

    edge = (0, 0, tile.width - 1, tile.height - 1)
    ImageDraw.Draw(tile).rectangle(edge, outline=(205, 205, 205))
    return tile


def drawing(mesh: trimesh.Trimesh, colours: np.ndarray, world_from_camera: np.ndarray) -> Image:
    """The mesh as a camera sees it, filling a panel; one colour a triangle, [F, 3]."""
    from PIL import Image, ImageDraw

    size = FINER * PANEL
    image = Image.new("RGB", (size, size), "white")
    draw = ImageDraw.Draw(image)
    view = visible_triangles(mesh, world_from_camera, size)
    fills = np.clip(colours, 0, 255).astype(int)[view.faces].tolist()
    for corners, fill in zip(view.corners.reshape(-1, 6).tolist(), fills, strict=True):
        draw.polygon(corners, fill=tuple(fill))
    return image.resize((PANEL, PANEL), Image.Resampling.LANCZOS)


def visible_triangles(mesh: trimesh.Trimesh, world_from_camera: np.ndarray, size: int) -> View:
    """Triangles that face the camera, in the painter's order, in the middle of a square image."""
    from neural_sdf.geometry import project

    pixels, depth = (np.asarray(x) for x in project(np.eye(3), world_from_camera, mesh.vertices))
    lower, upper = pixels.min(axis=0), pixels.max(axis=0)
    scale = (1 - 2 * MARGIN) * size / np.max(upper - lower)
    pixels = size / 2 + scale * (pixels - (lower + upper) / 2)
    towards = world_from_camera[:3, 3] - mesh.triangles_center
    facing = np.flatnonzero(np.sum(mesh.face_normals * towards, axis=-1) > 0)
    order = facing[np.argsort(-depth[mesh.faces[facing]].mean(axis=-1))]
    return View(pixels[mesh.faces[order]], order)


def learned_colours(mesh: trimesh.Trimesh) -> np.ndarray:
    """Colour of each triangle from those of its corners, 0 to 255, [F, 3]."""
    colours: Any = mesh.visual
    return np.asarray(colours.vertex_colors)[mesh.faces, :3].mean(axis=1)


def clay_colours(mesh: trimesh.Trimesh, world_from_camera: np.ndarray) -> np.ndarray:
    """Grey by the normal alone, lit from above and left of the camera, 0 to 255, [F, 3]."""
    normals = mesh.vertex_normals[mesh.faces].mean(axis=1)
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-9)
    light = world_from_camera[:3, :3] @ np.array([-0.55, -0.65, -0.52])
    sky = (1 + normals[:, 2]) / 2
    shade = 0.42 + 0.46 * np.maximum(normals @ light, 0) + 0.10 * sky
    return 255 * shade[:, None] * np.array([1.0, 0.985, 0.96])


def pose(*, azimuth: float, elevation: float) -> np.ndarray:
    """Camera that looks at the centre of the scene, z up, [4, 4]; angles in degrees."""
    a, e = np.radians([azimuth, elevation])
    back = np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
    right = np.cross(-back, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    world_from_camera = np.eye(4)
    world_from_camera[:3, :3] = np.stack([right, np.cross(-back, right), -back], axis=-1)
    world_from_camera[:3, 3] = CAMERA_DISTANCE * back
    return world_from_camera


def arrow(draw: Any, left: int, middle: int, *, length: int) -> None:
    """An arrow to the right."""
    head = length - 16
    draw.line([(left, middle), (left + head, middle)], fill=INK, width=4)
    draw.polygon(
        [(left + head, middle - 11), (left + length, middle), (left + head, middle + 11)], fill=INK
    )


def label(draw: Any, centre: int, middle: int, text: str) -> None:
    """A line of text under a panel."""
    from PIL import ImageFont

    draw.text((centre, middle), text, fill=INK, anchor="mm", font=ImageFont.load_default(17))


if __name__ == "__main__":
    launch.run(main, required=["workdir"])
