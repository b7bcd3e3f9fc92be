"""Where photos lie changes nothing: the same pixels at the same step, from device or host."""

import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from neural_sdf.photos import load_scene
from neural_sdf.scenes import DeviceFeed, HostFeed, drawn_batch, drawn_shapes, sample_batch
from neural_sdf.training import step_keys

ROOT = Path(__file__).parents[2]
BATCH, SEED = 256, 3


@pytest.fixture
def scene(transforms_folder):
    return load_scene(transforms_folder)


@pytest.fixture
def host(scene):
    feed = HostFeed(scene, BATCH, lambda step: step_keys(SEED, step)[0])
    yield feed
    feed.close()


def test_both_give_the_same_batches_at_the_same_steps(scene, host):
    from_device = jax.jit(lambda step, scene: sample_batch(step_keys(SEED, step)[0], scene, BATCH))
    from_host = jax.jit(drawn_batch)
    device = DeviceFeed(scene)
    for step in (0, 1, 2, 7, 8, 3):  # in turn, as a run does, and from where a resumed one begins
        expected = from_device(step, device(step))
        for one, other in zip(
            *map(jax.tree.leaves, (from_host(host(step)), expected)), strict=True
        ):
            np.testing.assert_array_equal(one, other)


def test_what_is_drawn_has_the_shapes_that_the_step_is_compiled_for(scene, host):
    shapes = jax.tree.map(lambda x: (x.shape, np.dtype(x.dtype)), drawn_shapes(scene, BATCH))
    assert jax.tree.map(lambda x: (x.shape, np.dtype(x.dtype)), host(0)) == shapes


def test_held_out_photos_are_never_drawn(scene, host):
    end = scene.offsets[int(scene.num_train)]
    assert max(host(step).pixels.max() for step in range(20)) < end


def test_the_device_gets_no_more_than_a_batch(host):
    drawn = host(0)
    assert drawn.cameras.rgb.shape == (0, 3)
    assert sum(x.nbytes for x in jax.tree.leaves(drawn)) < 20_000


MEASURE = """
import re, sys
from pathlib import Path
import jax
from neural_sdf.photos import load_scene, open_scene
jax.numpy.zeros(3).block_until_ready()
settings = {"centre": (1.0, -2.0, 0.5), "radius": 1.0}
load_scene(sys.argv[2], **settings)  # a small set: what is imported and compiled on the way
peak = lambda: 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
before = peak()
memory, read = open_scene(sys.argv[1], **settings)
scene = read()
print(memory.kept, memory.reading, scene.rgb.nbytes + scene.mask.nbytes, peak() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from /proc")
def test_memory_stays_within_what_was_predicted_before_loading(
    transforms_folder, tmp_path, edit_json
):
    """Twelve photos of 4.3 megapixels: 207 MB."""
    large = tmp_path / "large"
    (large / "images").mkdir(parents=True)
    for path in (transforms_folder / "images").iterdir():
        Image.open(path).resize((2400, 1800)).save(large / "images" / path.name, compress_level=1)
    document = (transforms_folder / "transforms.json").read_text()
    (large / "transforms.json").write_text(document)

    def enlarge(document):
        for key in ("fl_x", "fl_y", "cx", "cy", "w", "h"):
            document[key] *= 50

    edit_json(large / "transforms.json", enlarge)
    command = [sys.executable, "-c", MEASURE, str(large), str(transforms_folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    kept, reading, taken, grown = map(int, done.stdout.split())
    assert kept == taken == 12 * 2400 * 1800 * 4
    print(f"predicted {reading / 1e6:.0f} MB while reading, measured {grown / 1e6:.0f} MB")
    # Readers need not be at their largest together.
    assert 0.9 * kept < grown < 1.1 * reading
