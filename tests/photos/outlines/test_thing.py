"""Sparse points of the object, told from those of what it stands on and of the room."""

import numpy as np
import pytest

from neural_sdf.photos.outlines.thing import object_points

RNG = np.random.default_rng(0)
BALL = np.array([0.3, -0.2, 1.0])


def ring(count=24, distance=4.0, height=2.0):
    """Cameras all round, looking down at the ball."""
    poses = np.tile(np.eye(4), (count, 1, 1))
    for pose, angle in zip(poses, np.linspace(0, 2 * np.pi, count, endpoint=False), strict=True):
        centre = BALL + np.array([distance * np.cos(angle), distance * np.sin(angle), height])
        forward = (BALL - centre) / np.linalg.norm(BALL - centre)
        right = np.cross(forward, [0, 0, 1])
        right /= np.linalg.norm(right)
        pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=-1)
        pose[:3, 3] = centre
    return poses


def ball(count=600, radius=1.0):
    points = RNG.normal(size=(count, 3))
    return BALL + radius * points / np.linalg.norm(points, axis=1, keepdims=True)


def plane(count, reach, height=0.0):
    """A table in the plane z = height, with the noise of structure from motion."""
    points = RNG.uniform(-reach, reach, (count, 3))
    points[:, 2] = height + RNG.normal(0, 0.01, count)
    return points


def book(count=500):
    """The upper side of a box of 2 by 1.4 by 0.4."""
    return RNG.uniform([-1, -0.7, 0.38], [1, 0.7, 0.42], (count, 3))


def is_among(found, points):
    return np.isin(found[:, 0], points[:, 0])


@pytest.mark.parametrize("on_table", [200, 6000])
def test_a_ball_is_told_from_the_table_below_it(on_table):
    thing = ball()
    found = object_points(np.concatenate([thing, plane(on_table, 3.0)]), ring())
    assert is_among(found, thing).all()
    assert len(found) > 0.9 * len(thing)  # next to the table nothing is sure


def test_a_flat_book_is_told_from_the_table_below_it():
    thing = book()
    found = object_points(np.concatenate([thing, plane(3000, 3.0)]), ring())
    assert is_among(found, thing).mean() > 0.98
    assert len(found) > 0.95 * len(thing)


def test_walls_and_strays_are_left_out():
    thing = ball()
    wall = RNG.uniform([-3, 2.6, 0.5], [3, 2.62, 3], (300, 3))
    strays = RNG.uniform([-3, -3, 0.2], [3, 3, 6.2], (60, 3))
    found = object_points(np.concatenate([thing, wall, strays, plane(400, 3.0)]), ring())
    assert is_among(found, thing).mean() > 0.98
    assert len(found) > 0.9 * len(thing)


def test_two_parts_near_each_other_are_one_object():
    """A bare middle has no points."""
    thing = ball(1200)
    thing = thing[np.abs(thing[:, 0] - BALL[0]) > 0.5]
    found = object_points(np.concatenate([thing, plane(500, 3.0)]), ring())
    assert len(found) > 0.93 * len(thing)


def test_without_a_table_nothing_of_the_object_is_taken_for_one():
    """Neither the flat side of a box, nor the only side that is seen."""
    box = RNG.uniform(-0.8, 0.8, (1500, 3))
    box[np.arange(1500), RNG.integers(0, 3, 1500)] = RNG.choice([-0.8, 0.8], 1500)
    front = plane(800, 1.0, height=1.0)
    for thing in (box + BALL, front):
        assert len(object_points(thing, ring())) > 0.97 * len(thing)


def test_few_points_tell_nothing():
    assert len(object_points(ball(9), ring())) == 0
    assert len(object_points(np.full((20, 3), np.nan), ring())) == 0
