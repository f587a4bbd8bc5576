"""Diffraction orders of frames and arcs whose flats found other orders, against those that the light was made for."""

from dataclasses import replace
from types import SimpleNamespace

import extracted_arcs
import numpy as np
import pytest

from nrespipe import data, instruments
from nrespipe.engine.wavelength import order_numbers
from nrespipe.errors import BadFrame
from nrespipe.frames.quality import Quality
from nrespipe.simulator import bench as benches
from nrespipe.simulator.bench import State

ORDERS = np.arange(52, 119)
#: Rows that a flat may have lost: some at either end, or in the middle, where a lamp is faint or dust lies.
LOST = {
    **{f"{n} highest": range(67 - n, 67) for n in (1, 4, 6, 10)},
    **{f"{n} lowest": range(n) for n in (1, 4, 5, 10)},
    "10 in the middle": range(30, 40),
    "5 at each end": [*range(5), *range(62, 67)],
}


@pytest.fixture(scope="module")
def lamp(shelf):
    """Arc and star frames of the reference fiber with all 67 orders, by the brightness of the lamp."""
    bench = benches.build(instruments.load("nres03"), seed=4)

    def make():
        moved = State(shift_px=0.4, stretch_px=0.1)
        # light that blooms into the next orders makes their rows alike: the comparison ignores flags
        frames = {
            level: extracted_arcs.expose(bench, (1,), moved, seed=2, lamp=level, bloom=0.0) for level in (1.0, 0.2)
        }
        return SimpleNamespace(arc=extracted_arcs.expose(bench, (1,), seed=1, lamp=4.0, bloom=0.0), frames=frames)

    return shelf.get("lamp-of-67-orders", make)


def without(spectra, lost, off=0):
    """Leave rows out, and call the others by numbers that are off."""
    kept = np.setdiff1d(np.arange(len(spectra.orders)), lost)
    names = ("flux", "variance", "quality", "blaze")
    return replace(
        spectra, orders=spectra.orders[kept] + off, **{name: getattr(spectra, name)[:, kept] for name in names}
    )


def master(reference, quality=Quality.FEW_CALIBRATIONS):
    return SimpleNamespace(
        reference=reference, solution=SimpleNamespace(orders=reference.orders), origin=SimpleNamespace(quality=quality)
    )


def dark(spectra, seed=3):
    return replace(spectra, flux=np.random.default_rng(seed).normal(0, 25, spectra.flux.shape))


@pytest.mark.parametrize("level", [1.0, 0.2])
@pytest.mark.parametrize("mine", LOST)
@pytest.mark.parametrize("theirs", ["nothing", "6 highest", "5 lowest", "10 in the middle"])
def test_a_frame_has_the_right_numbers_whatever_orders_its_flat_and_that_of_the_arc_have_lost(
    lamp, mine, theirs, level
):
    arc = master(without(lamp.arc, LOST.get(theirs, [])))
    for off in (0, -3):
        spectra, added, _ = order_numbers.of_frame(without(lamp.frames[level], LOST[mine], off), arc)
        assert list(spectra.orders) == list(np.delete(ORDERS, LOST[mine]))
        assert added == -off


@pytest.mark.parametrize("shift_px", [-7, 0, 4])
def test_the_lamp_tells_by_how_many_pixels_the_frame_has_moved(lamp, shift_px):
    frame = lamp.frames[0.2]
    frame = without(replace(frame, flux=np.roll(frame.flux, shift_px, axis=2)), LOST["5 lowest"], off=-3)
    spectra, _, found = order_numbers.of_frame(frame, master(lamp.arc))
    rows = np.isin(lamp.arc.orders, spectra.orders)
    assert found == order_numbers.lamp_shift_px(spectra.of(1).flux, lamp.arc.of(1).flux[rows])
    assert abs(found - shift_px) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("lost", LOST)
def test_an_arc_has_the_right_numbers_whatever_orders_its_flat_has_lost(lamp, lost):
    for level, off in ((1.0, 0), (0.2, 2)):
        arc = without(lamp.frames[level], LOST[lost], off)
        stack, starts, added = order_numbers.of_arc(arc, instruments.load("nres03"), data.lamp_lines())
        assert list(stack.orders) == list(np.delete(ORDERS, LOST[lost]))
        assert added == -off == starts[1].renumber


@pytest.mark.parametrize("theirs", LOST)
def test_without_the_lamp_the_numbers_of_a_flat_stand_that_the_arc_does_not_contradict(lamp, theirs):
    arc = master(without(lamp.arc, LOST[theirs]))
    for frame in (lamp.frames[1.0], without(lamp.frames[1.0], range(2))):
        spectra, added, _ = order_numbers.of_frame(dark(frame), arc)
        assert list(spectra.orders) == list(frame.orders)
        assert added == 0


def test_without_the_lamp_the_flat_that_the_arc_was_made_with_has_the_numbers_that_the_arc_was_given(lamp):
    renumbered = master(lamp.arc, Quality.ORDERS_RENUMBERED)
    spectra, added, _ = order_numbers.of_frame(dark(without(lamp.frames[1.0], [], off=2)), renumbered)
    assert list(spectra.orders) == list(ORDERS)
    assert added == -2


def test_as_many_orders_with_other_numbers_are_a_contradiction_without_the_lamp_and_none_with_it(lamp):
    arc, frame = master(without(lamp.arc, LOST["1 highest"])), without(lamp.frames[1.0], LOST["1 lowest"])
    assert order_numbers.of_frame(frame, arc)[1] == 0
    with pytest.raises(
        BadFrame, match="the flat has 66 orders from 53 to 118, the master arc 66 orders from 52 to 117, "
    ):
        order_numbers.of_frame(dark(frame), arc)


def test_a_contradiction_that_no_lamp_decides_is_a_bad_frame(lamp):
    renumbered = master(lamp.arc, Quality.ORDERS_RENUMBERED)
    says = "the flat has 66 orders from 55 to 120, the master arc 67 orders from 52 to 118 after its lamp contradicted"
    with pytest.raises(BadFrame, match=says):
        order_numbers.of_frame(dark(without(lamp.frames[1.0], LOST["1 lowest"], off=2)), renumbered)


def test_a_frame_that_shares_no_order_with_the_arc_is_a_bad_frame_and_has_no_numbers_by_chance(lamp):
    # the best of the wrong numberings stands 13 standard deviations of noise high
    top, rest = without(lamp.frames[1.0], range(57)), without(lamp.arc, range(57, 67))
    assert order_numbers.compare(top, rest, 1) is None
    with pytest.raises(BadFrame, match="the frame has 10 orders from 109 to 118 and the master arc 57 orders from 52"):
        order_numbers.of_frame(top, master(rest))


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_a_handful_of_rows_raises_nothing_but_a_bad_frame(lamp, rows):
    few = without(lamp.frames[1.0], range(rows, 67))
    for frame, reference in ((few, lamp.arc), (lamp.frames[1.0], without(lamp.arc, range(rows, 67))), (few, few)):
        if rows < 3 and len(reference.orders) > rows:
            with pytest.raises(BadFrame, match=f"{rows} in common, expected 3 or more"):
                order_numbers.of_frame(frame, master(reference))
        else:
            spectra, added, _ = order_numbers.of_frame(frame, master(reference))
            assert (list(spectra.orders), added) == (list(frame.orders), 0)
