import math
import warnings

import pytest

from neural_sdf.mistake import Doubt
from neural_sdf.training import CollapseWatch, collapse

HEALTHY = {"psnr": 21.0, "hit_rate": 0.2, "mask_error": 0.01}
NOTHING = {"psnr": math.nan, "hit_rate": 0.0, "mask_error": 0.2}
BESIDE = {"psnr": math.nan, "hit_rate": 0.008, "mask_error": 0.208}  # hits, but none on the object
EVERYTHING = {"psnr": 9.0, "hit_rate": 1.0, "mask_error": 0.8}
NO_OBJECT = {"psnr": math.nan, "hit_rate": 0.01, "mask_error": 0.01}  # no ray looks at it
ALL_OBJECT = {"psnr": 21.0, "hit_rate": 1.0, "mask_error": 0.0}  # photos that it fills


def told(seen: dict[int, dict], *, steps: int = 10**6, rays: int = 1024) -> list[str]:
    watch = CollapseWatch(steps=steps, rays=rays)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", Doubt)
        for step, metrics in seen.items():
            watch.see(step, metrics)
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize(
    ("metrics", "how", "share"),
    [
        (HEALTHY, "", 0.0),
        (NOTHING, "nothing", 0.2),
        (BESIDE, "nothing", 0.2),
        (EVERYTHING, "everything", 0.8),
        (NO_OBJECT, "", 0.0),
        (ALL_OBJECT, "", 0.0),
    ],
)
def test_a_surface_is_lost_by_rays_that_should_meet_it_and_do_not(metrics, how, share):
    assert collapse(metrics) == (how, pytest.approx(share))


def test_what_lasts_a_hundred_steps_is_told_once_with_the_remedy():
    (line,) = told(dict.fromkeys(range(50, 1000, 50), NOTHING))
    assert line.startswith("no ray has hit the object at step 50 to step 150: the surface is lost")
    assert "lower train.learning_rate, or mend the photos' masks" in line
    (line,) = told(dict.fromkeys(range(50, 1000, 50), EVERYTHING))
    assert line.startswith("every ray has hit something, also those beside the object, at step")
    assert "larger region of interest (data.radius)" in line


@pytest.mark.parametrize("metrics", [HEALTHY, NO_OBJECT, ALL_OBJECT])
def test_what_is_not_lost_is_not_told(metrics):
    assert not told(dict.fromkeys(range(50, 1001, 50), metrics), steps=1000)


def test_what_comes_back_within_a_hundred_steps_is_not_told():
    seen = {step: NOTHING if step % 100 else HEALTHY for step in range(25, 1001, 25)}
    assert not told(seen, steps=1000)


def test_another_loss_begins_another_count():
    seen = {step: NOTHING if step <= 75 else EVERYTHING for step in range(25, 176, 25)}
    assert not told(seen)


def test_a_short_run_is_told_at_its_end():
    (line,) = told({15: HEALTHY, 20: NOTHING}, steps=20)
    assert line.startswith("no ray has hit the object at step 20:")


def test_few_rays_may_miss_by_chance():
    assert not told(dict.fromkeys(range(50, 351, 50), NOTHING), rays=4)
