import os

import jaxtyping

from neural_sdf import launch

# Both must be set before JAX is imported; the hook before the package is.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
launch.correct_reductions()
jaxtyping.install_import_hook(
    "neural_sdf",  # an int passes for a float, as for pyright
    "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))",
)

from collections.abc import Callable, Iterator  # noqa: E402
from pathlib import Path  # noqa: E402

import jax  # noqa: E402
import pytest  # noqa: E402

ROOT = Path(__file__).parents[1]


@pytest.fixture
def x64() -> Iterator[None]:
    """64-bit numbers for one test: finite differences mean nothing in 32 bits."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="session")
def photo_set() -> Callable[[str], Path]:
    """The folder of a photo set by name; the test is skipped where the set is absent."""
    folder = Path(os.environ.get("NEURAL_SDF_DATA", ROOT / "../shared/data")).resolve()

    def find(name: str) -> Path:
        if not (folder / name).is_dir():
            pytest.skip(f"no photo set {name!r} in {folder}; set NEURAL_SDF_DATA")
        return folder / name

    return find
