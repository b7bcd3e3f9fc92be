"""Where photos lie changes nothing: the same pixels at the same step, from device or host."""

import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from neural_sdf.photos import load_scene
from neural_sdf.scenes import DeviceFeed, HostFeed, batch_shapes

ROOT = Path(__file__).parents[2]
BATCH, SEED = 256, 3


@pytest.fixture
def scene(transforms_folder):
    return load_scene(transforms_folder)


@pytest.fixture
def host(scene):
    feed = HostFeed(scene, BATCH, SEED)
    yield feed
    feed.close()


def bits(batch) -> list[bytes]:
    batch = batch._replace(keys=jax.random.key_data(batch.keys))
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(batch)]


def test_both_give_the_same_batches_at_the_same_steps(scene, host):
    device = DeviceFeed(scene, BATCH, SEED)
    for step in (0, 1, 2, 7, 8, 3):  # in turn, as a run does, and from where a resumed one begins
        assert bits(host(step)) == bits(device(step))


def test_batches_of_different_steps_and_seeds_differ(scene):
    first, other = DeviceFeed(scene, BATCH, SEED), DeviceFeed(scene, BATCH, SEED + 1)
    assert (first(0).pixels != first(1).pixels).any()
    assert (first(0).pixels != other(0).pixels).any()


@pytest.mark.parametrize("feed", [DeviceFeed, HostFeed])
def test_what_is_drawn_has_the_shapes_that_the_step_is_compiled_for(scene, feed):
    batches = feed(scene, BATCH, SEED)
    shape = lambda x: (x.shape, x.dtype)
    assert jax.tree.map(shape, batches(0)) == jax.tree.map(shape, batch_shapes(BATCH))
    batches.close()


def test_held_out_photos_are_never_drawn(scene, host):
    assert max(host(step).view.max() for step in range(20)) < scene.num_train


def test_the_device_gets_no_more_than_a_batch(host):
    assert sum(x.nbytes for x in jax.tree.leaves(host(0))) < 200 * BATCH


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
memory, _, read, _ = open_scene(sys.argv[1], **settings)
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
