"""Photo sets on disk, in the layouts of other tools, become a `Scene`, and a scene such a set."""

from neural_sdf.photos.files.folder import lasting_path
from neural_sdf.photos.formats import FORMATS
from neural_sdf.photos.load import Opened, load_photos, load_scene, load_to_mask, open_scene
from neural_sdf.photos.picture import scene_picture
from neural_sdf.photos.pixels import Memory
from neural_sdf.photos.settings import Settings
from neural_sdf.photos.write import write_scene

__all__ = [
    "FORMATS",
    "Memory",
    "Opened",
    "Settings",
    "lasting_path",
    "load_photos",
    "load_scene",
    "load_to_mask",
    "open_scene",
    "scene_picture",
    "write_scene",
]
