"""Stars whose flat found other orders than that of the arc, moved benches, and lamps that are dim or off."""

from dataclasses import replace

import numpy as np
import pytest

from nrespipe.errors import BadFrame
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind
from nrespipe.frames.traces import Traces
from nrespipe.recipes import arc, science
from nrespipe.simulator import bench as benches
from nrespipe.simulator import frame as frames
from nrespipe.simulator import stars

pytestmark = pytest.mark.slow
MIDDLE = np.s_[200:-200]


def without(flat, lost, off=0):
    """Leave orders of a master flat out, and call the others by numbers that are off."""
    kept = np.setdiff1d(np.arange(len(flat.traces.orders)), lost)
    old = flat.traces
    traces = Traces(old.fibers, old.orders[kept] + off, old.centers[:, kept], old.errors[:, kept])
    profile = replace(flat.profile, values=flat.profile.values[:, kept])
    return replace(
        flat, traces=traces, profile=profile, blaze=flat.blaze[:, kept], peak_e_per_s=flat.peak_e_per_s[:, kept]
    )


@pytest.fixture(scope="module")
def star(expose):
    """Return a function that exposes a star with a lamp of some brightness, on a bench that has moved or not."""
    target = replace(stars.target("HD102365"), snr=60.0)

    def make(lamp=1.0, rise_px=0.0):
        state = benches.State(velocity_ms=20.0, shift_px=0.3, rise_px=rise_px)
        source = "thar" if lamp else "none"
        scene = frames.Scene(Kind.SCIENCE, ("star", source, "none"), 600.0, {0: target}, {0: 0.0}, lamp=lamp)
        shot = expose(scene, seed=80, state=state)
        return replace(shot.raw, objects=("HD102365", "thar", "none")), shot.truth

    return make


def check(reduction, truth, within_ms=400.0):
    """Orders are called as the light was made, and light and wavelengths are right."""
    spectra, wavelengths = reduction.spectra, reduction.wavelengths
    np.testing.assert_array_equal(spectra.orders, wavelengths.orders)
    rows = np.searchsorted(truth.orders, spectra.orders)
    # a lamp that is off has no truth
    for fiber in set(spectra.fibers) & set(truth.fibers):
        i = spectra.fibers.index(fiber)
        known = np.isfinite(wavelengths.vacuum_angstrom[i]).all(axis=1)
        assert known.sum() >= 4
        true = truth.wavelength[truth.fibers.index(fiber)][rows][known]
        off_ms = 299792458 * (wavelengths.vacuum_angstrom[i][known] / true - 1)
        assert np.abs(np.median(off_ms[:, MIDDLE], axis=1)).max() < within_ms
    light = truth.flux[truth.fibers.index(0)][rows][:, MIDDLE]
    share = np.nansum(spectra.of(0).flux[:, MIDDLE], axis=1) / light.sum(axis=1)
    assert np.abs(share - 1).max() < 0.02


@pytest.mark.parametrize("lamp", [1.0, 0.2])
@pytest.mark.parametrize("lost", [range(8, 10), range(3), range(4, 6)], ids=["highest", "lowest", "middle"])
def test_a_star_has_the_right_numbers_with_a_flat_that_lost_orders(star, references, spectrograph, lost, lamp):
    raw, truth = star(lamp)
    refs = replace(references, flat=without(references.flat, lost), masks={})
    reduction = science.reduce(raw, refs, spectrograph)
    check(reduction, truth)
    assert list(reduction.spectra.orders) == list(np.delete(spectrograph.orders, lost))
    assert not reduction.quality & (Quality.ORDERS_RENUMBERED | Quality.NO_DRIFT)


@pytest.mark.parametrize("lost", [range(7, 10), range(3)], ids=["highest", "lowest"])
def test_a_star_has_the_right_numbers_with_an_arc_whose_flat_lost_orders_and_misnumbered_them(
    star, expose, references, spectrograph, lost
):
    raw, truth = star()
    scenes = [
        frames.Scene(Kind.ARC, sources, 600.0) for sources in (("thar", "thar", "none"), ("none", "thar", "thar"))
    ]
    arcs = [expose(scene, seed=50 + 10 * k).raw for k, scene in enumerate(scenes)]
    other = replace(references, flat=without(references.flat, lost, off=2), arc=None)
    made = arc.combine(arcs, other, spectrograph)
    assert list(made.solution.orders) == list(np.delete(spectrograph.orders, lost))
    assert Quality.ORDERS_RENUMBERED in made.origin.quality
    reduction = science.reduce(raw, replace(references, arc=made, masks={}), spectrograph)
    check(reduction, truth)
    # the numbers of its own flat are right
    assert Quality.ORDERS_RENUMBERED not in reduction.quality
    again = science.reduce(raw, replace(other, arc=made, masks={}), spectrograph)
    check(again, truth)
    assert Quality.ORDERS_RENUMBERED in again.quality
    # without the lamp the flat of the arc has its numbers, and any other that differs contradicts it
    unlit, truth = star(lamp=0.0)
    check(science.reduce(unlit, replace(other, arc=made, masks={}), spectrograph), truth, within_ms=2000.0)
    with pytest.raises(BadFrame, match=f"{unlit.filename}: the numbers of the orders cannot be told"):
        science.reduce(unlit, replace(references, arc=made, masks={}), spectrograph)


@pytest.mark.parametrize("rise_px", [-3.0, 3.0])
@pytest.mark.parametrize("lamp", [1.0, 0.2, 0.0])
def test_a_bench_that_has_moved_by_three_pixels_changes_neither_numbers_nor_light(
    star, references, spectrograph, rise_px, lamp
):
    raw, truth = star(lamp, rise_px)
    reduction = science.reduce(raw, replace(references, masks={}), spectrograph)
    check(reduction, truth, 400.0 if lamp else 2000.0)
    assert Quality.TRACE_SHIFTED in reduction.quality
    assert (Quality.NO_DRIFT in reduction.quality) == (lamp == 0)


@pytest.mark.parametrize("rise_px", [-30.0, -20.0, -14.0, 14.0, 20.0, 30.0])
@pytest.mark.parametrize("lamp", [1.0, 0.0])
def test_a_bench_that_has_moved_by_half_an_order_puts_no_light_into_other_fibers_or_orders(
    star, references, spectrograph, rise_px, lamp
):
    raw, _ = star(lamp, rise_px)
    with pytest.raises(BadFrame, match=f"{raw.filename}: the (orders are not where the flat|light lies in fiber 1)"):
        science.reduce(raw, replace(references, masks={}), spectrograph)
