import numpy as np
import pytest

from neural_sdf.geometry import coordinates


def numbers(text):
    return [float(x) for x in text.split(", ")]


@pytest.mark.parametrize("size", [3e-6, 0.02, 1.179, 18.0, 900.0, 4e5])
@pytest.mark.parametrize("far", [0.0, 1.0, 500_000.0, 4_600_000.0, -6_378_137.0])
def test_coordinates_are_written_to_a_thousandth_of_the_size(size, far):
    place = far + size * np.array([-1.0, 0.123456, 0.987654])
    np.testing.assert_allclose(numbers(coordinates(place, size)), place, rtol=0, atol=1e-3 * size)


def test_corners_of_a_thing_far_away_can_be_told_apart():
    lower, upper = np.array([4_600_000.25, 120.0]), np.array([4_600_002.25, 120.002])
    assert coordinates(lower, 2.0) == "4600000.25, 120"
    assert coordinates(upper, 2.0) == "4600002.25, 120.002"


def test_near_the_origin_four_digits_are_enough():
    assert coordinates([1.12249, -2.03412, 0.505234], 1.179) == "1.122, -2.034, 0.5052"


@pytest.mark.parametrize("size", [0.0, 1e-300, 1e300])
def test_any_size_gives_numbers(size):
    assert numbers(coordinates([4_600_000.0, 0.0, -1e-300], size))[1] == 0
