from types import SimpleNamespace

import numpy as np
import pytest

from nrespipe.engine.orders import kernel_layout
from nrespipe.frames.image import Image
from nrespipe.frames.quality import Pixel
from nrespipe.frames.traces import Profile, Traces

SHAPE = (50, 30)


@pytest.fixture
def scene():
    """Two fibers with two orders each, of which one lies beside the detector; the third fiber is dark."""
    rng = np.random.default_rng(2)
    mask = rng.choice(
        [0, Pixel.BAD, Pixel.SATURATED, Pixel.NONLINEAR, Pixel.BAD | Pixel.COSMIC, Pixel.BLOOMED], SHAPE
    ).astype(np.uint8)
    image = Image(rng.normal(9, 1, SHAPE).astype(np.float32), rng.random(SHAPE).astype(np.float32), mask, 60.0)
    rows = np.array([[10.0, 30.0], [17.0, 37.0], [3.0, 23.0]])[..., None] + np.linspace(0, 4, SHAPE[1])
    rows[1, 1] = np.nan
    traces = Traces((0, 1, 2), np.array([60, 61]), rows)
    offsets, far = np.arange(-10, 10.01, 0.05), np.arange(0, 22.1, 0.25)
    values = np.ones((3, 2, 2, len(offsets)), np.float32) * np.arange(6).reshape(3, 2, 1, 1)
    response = rng.uniform(0.8, 1.2, SHAPE).astype(np.float32)
    error = rng.uniform(0, 0.01, SHAPE).astype(np.float32)
    middles, none = np.array([7.0, 22.0]), np.zeros((2, len(far)))
    profile = Profile(offsets, middles, values, far, none, response, error)
    return image, traces, SimpleNamespace(traces=traces, profile=profile)


@pytest.mark.parametrize("stride", [1, 4])
def test_columns_lie_contiguous_in_memory_and_every_few_of_them_are_taken(scene, stride):
    image, traces, flat = scene
    laid = kernel_layout.lay_out(image, traces, flat, (0, 1), stride)
    taken = np.arange(SHAPE[1])[stride // 2 :: stride]
    np.testing.assert_array_equal(laid.data, image.electrons.T[taken])
    np.testing.assert_array_equal(laid.floor, image.floor_variance.T[taken])
    np.testing.assert_array_equal(laid.response, flat.profile.response.T[taken])
    np.testing.assert_array_equal(
        laid.bad > 0, (image.mask.T[taken] & (Pixel.BAD | Pixel.SATURATED | Pixel.BLOOMED)) > 0
    )
    # the middles of the chunks stay where they are on the detector
    np.testing.assert_allclose(np.interp(laid.grid[0], np.arange(len(taken)), taken), [7, 22])


def test_the_error_of_the_response_is_relative_to_it(scene):
    """The light that is expected of a pixel has its response in it already."""
    image, traces, flat = scene
    laid = kernel_layout.lay_out(image, traces, flat, (0, 1))
    np.testing.assert_allclose(laid.error, (flat.profile.response_error / flat.profile.response).T, rtol=1e-6)


def test_traces_are_sorted_by_row_and_put_back(scene):
    image, traces, flat = scene
    laid = kernel_layout.lay_out(image, traces, flat, (1, 0))
    np.testing.assert_allclose(laid.centers[0, :3], [10, 17, 30])
    assert np.isnan(laid.centers[:, 3]).all()
    np.testing.assert_array_equal(laid.tables[:, 0, 0], [0, 2, 1, 3])
    values = np.random.default_rng(1).random((2, 2, 5))
    np.testing.assert_array_equal(laid.unsort(laid.sort(values)), values)
    np.testing.assert_allclose(laid.unsort(laid.centers.T), traces.centers[[1, 0]])


def test_the_same_pixels_with_moved_traces_are_those_of_a_layout_from_the_start(scene):
    image, traces, flat = scene
    laid = kernel_layout.lay_out(image, traces, flat, (0, 1), 4)
    # fiber 1 moves below fiber 0
    moved = Traces((0, 1), traces.orders, traces.centers[:2] + np.array([[[2.0]], [[-12.0]]]))
    found, expected = laid.moved(moved, (0, 1)), kernel_layout.lay_out(image, moved, flat, (0, 1), 4)
    for name in ("data", "bad", "centers", "tables", "order"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    found.bad[:] = 2
    assert not (laid.bad == 2).any()
