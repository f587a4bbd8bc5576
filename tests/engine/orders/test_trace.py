import numpy as np
import pytest

from nrespipe import instruments
from nrespipe.engine.orders import trace
from nrespipe.errors import BadFrame
from nrespipe.frames.raw import Kind
from nrespipe.frames.traces import Traces
from nrespipe.simulator import bench as benches
from nrespipe.simulator import frame as frames

PAIR = ("tung", "tung", "none")


@pytest.mark.slow
@pytest.mark.parametrize("name", instruments.names())
def test_every_order_of_every_site_is_found_and_numbered_from_a_single_flat(name):
    spectrograph = instruments.load(name)
    rendered = frames.render(benches.build(spectrograph), frames.Scene(Kind.FLAT, PAIR, 30.0), seed=1)
    electrons = 3.2 * (rendered.adu[:4096, :4096].astype(np.float32) - 1020)
    found = trace.find(electrons, (0, 1), spectrograph)
    np.testing.assert_array_equal(found.orders, spectrograph.orders)
    offset = found.centers - rendered.truth.rows
    # a skewed profile has no true center: what counts is that the offset is the same everywhere
    assert np.nanmax(np.abs(np.nanmedian(offset, axis=2))) < 0.2
    assert np.nanmedian(np.nanstd(offset, axis=2)) < 0.01
    assert np.nanmax(np.nanstd(offset, axis=2)) < 0.05
    assert np.nanmedian(found.errors) < 0.001
    np.testing.assert_array_equal(np.isfinite(found.errors), np.isfinite(found.centers))


def test_a_dark_image_has_no_orders(nres01):
    image = np.random.default_rng(1).normal(0, 7, (4096, 4096)).astype(np.float32)
    with pytest.raises(BadFrame, match="orders with light"):
        trace.find(image, (0, 1), nres01)


def parallel(fibers, rows, n_columns=400):
    orders = np.arange(60, 60 + len(rows[0]))
    centers = np.array(rows, float)[..., None] + np.zeros(n_columns)
    return Traces(fibers, orders, centers)


def test_the_flats_of_two_pairs_share_the_reference_fiber(nres01):
    upper = parallel((0, 1), [np.arange(6) * 40 + 100, np.arange(6) * 40 + 82])
    lower = parallel((1, 2), [np.arange(6) * 40 + 82.5, np.arange(6) * 40 + 64])
    merged, shifts = trace.merge([upper, lower], nres01)
    assert merged.fibers == (0, 1, 2)
    assert shifts == pytest.approx([0, 0.5])
    np.testing.assert_allclose(merged.centers[2, :, 0], np.arange(6) * 40 + 63.5)
    assert merged.errors.shape == merged.centers.shape
    assert np.isnan(merged.errors).all()


def test_an_order_seen_in_one_pair_only_is_left_out(nres01):
    upper = parallel((0, 1), [np.arange(6) * 40 + 100, np.arange(6) * 40 + 82])
    lower = parallel((1, 2), [np.arange(5) * 40 + 122, np.arange(5) * 40 + 104])
    merged, _ = trace.merge([upper, lower], nres01)
    np.testing.assert_array_equal(merged.orders, np.arange(61, 66))


def test_flats_that_contradict_each_other_are_refused(nres01):
    upper = parallel((0, 1), [np.arange(6) * 40 + 100, np.arange(6) * 40 + 82])
    wrong = parallel((1, 2), [np.arange(6) * 40 + 100, np.arange(6) * 40 + 90])
    with pytest.raises(BadFrame, match="do not agree on where fiber 1 lies"):
        trace.merge([upper, wrong], nres01)


def test_fibers_that_lie_the_other_way_round_are_noticed_and_renamed(nres01):
    # fiber 0 is the lower one here, whatever the table says, so find has named both pairs upside down
    pair = parallel((0, 1), [np.arange(6) * 40 + 118, np.arange(6) * 40 + 100])
    other = parallel((1, 2), [np.arange(6) * 40 + 136, np.arange(6) * 40 + 118])
    assert not trace.fibers_agree([pair, other], nres01)
    merged, _ = trace.merge([trace.reversed_fibers(pair), trace.reversed_fibers(other)], nres01)
    np.testing.assert_allclose(merged.centers[:, 0, 0], [100, 118, 136])


def test_a_single_flat_cannot_tell_which_way_the_fibers_lie(nres01):
    assert trace.fibers_agree([parallel((0, 1), [np.arange(6) * 40 + 118, np.arange(6) * 40 + 100])], nres01)


@pytest.mark.parametrize("lit", [(1, 0), (2, 1), (2, 0)])
def test_either_pair_of_fibers_is_numbered_right_on_any_bench_and_with_orders_missing_at_the_ends(lit):
    for seed in range(40):
        spectrograph = instruments.load(instruments.names()[seed % 4])
        bench = benches.build(spectrograph, seed)
        crossing = np.stack([benches.row(bench, fiber, np.array([2048.0]))[:, 0] for fiber in lit])
        for lost in (0, 4):
            highest = trace.highest_fiber(crossing[:, lost : 67 - 3 * lost], lit, spectrograph.fibers.upward)
            assert trace.first_order(highest, spectrograph) == 52 + lost


def test_a_missing_ridge_does_not_spoil_the_numbers(nres01):
    bench = benches.build(nres01)
    crossing = np.stack([benches.row(bench, fiber, np.array([2048.0]))[:, 0] for fiber in (2, 1)])
    crossing[0, 7], crossing[1, [20, 21]] = np.nan, np.nan
    assert trace.first_order(trace.highest_fiber(crossing, (2, 1), nres01.fibers.upward), nres01) == 52


def test_an_order_that_is_seen_along_a_third_of_its_length_is_kept_when_flats_are_joined(nres01):
    upper = parallel((0, 1), [np.arange(6) * 40 + 100, np.arange(6) * 40 + 82])
    lower = parallel((1, 2), [np.arange(6) * 40 + 82.5, np.arange(6) * 40 + 64])
    seen = np.where(np.arange(400) < 260, np.nan, lower.centers[:, 5:])
    lower = Traces(lower.fibers, lower.orders, np.concatenate([lower.centers[:, :5], seen], axis=1))
    merged, shifts = trace.merge([upper, lower], nres01)
    np.testing.assert_array_equal(merged.orders, np.arange(60, 66))
    assert shifts[1] == pytest.approx(0.5)
    assert np.isfinite(merged.centers[:, 5]).sum(axis=1).tolist() == [400, 400, 140]
