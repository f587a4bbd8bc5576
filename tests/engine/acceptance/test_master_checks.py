from dataclasses import replace

import numpy as np
import pytest

from nrespipe import doppler
from nrespipe.engine.acceptance import master_checks
from nrespipe.frames.judgement import Finding, Judgement, Verdict
from nrespipe.frames.masters import Arc, Bias, Dark, Flat, Origin
from nrespipe.frames.quality import Pixel
from nrespipe.frames.raw import Kind
from nrespipe.frames.spectra import Spectra
from nrespipe.frames.traces import Profile, Traces
from nrespipe.frames.wavelength import ArcLines, Solution

N, ORDERS = 512, np.arange(52, 119)
X = np.arange(float(N))
OFFSETS = np.linspace(-8, 8, 65)


def origin(kind):
    return Origin(kind, "lsc", "nres01", "fa09", "20190405", 58578.5, ("a", "b"))


def bias(seed=0, level=0.0, noise=2.2, structure=0.0):
    adu = level + 0.1 * np.random.default_rng(seed).standard_normal((N, N)) + structure * np.sin(X / 60)
    return Bias(origin(Kind.BIAS), adu.astype(np.float32), np.full((N, N), 0.01, np.float32), noise)


def dark(seed=0, rate=2e-4, hot=1e-4):
    rng = np.random.default_rng(seed)
    adu = rate + 1e-4 * rng.standard_normal((N, N))
    mask = np.where(rng.random((N, N)) < hot, Pixel.BAD, 0).astype(np.uint8)
    return Dark(origin(Kind.DARK), adu.astype(np.float32), np.full((N, N), 1e-8, np.float32), mask)


def flat(fibers=(0, 1, 2), orders=ORDERS, shift=0.0, warp=0.0, width=1.0, tilt=0.0, gain=3.2, seed=0, light=1.0):
    noise = np.random.default_rng(seed).standard_normal((len(fibers), len(orders), N))
    rows = 40 + 7.0 * (orders - 52)[:, None] + 2.2 * np.array(fibers)[:, None, None] + 0 * X
    centers = rows + shift + warp * (X / N - 0.5) ** 2 + 3e-4 * noise
    shape = np.exp(-0.5 * (OFFSETS / (1.9 * width)) ** 2)
    values = np.broadcast_to(shape / shape.sum(), (len(fibers), len(orders), 3, len(OFFSETS)))
    blaze = (0.2 + np.sin(np.pi * (X + 0.5) / N) ** 2) / 1.2 * (1 + tilt * (X / N - 0.5)) * (1 + 0.003 * noise)
    even = np.ones((8, 8), np.float32)
    profile = Profile(OFFSETS, np.array([0.0, N / 2, N - 1]), values, np.arange(3.0), np.zeros((2, 3)), even, even)
    traces = Traces(fibers, orders, centers)
    peaks = 100.0 * np.array(orders)[None] * np.broadcast_to(light, len(fibers))[:, None]
    return Flat(origin(Kind.FLAT), traces, profile, blaze, gain, 0.01, np.zeros((N, N), np.uint8), peaks)


def arc(
    fibers=(0, 1, 2),
    moved_ms=0.0,
    apart_ms=0.0,
    lines=3500,
    light=1.0,
    scatter_ms=60.0,
    transfer_ms=1.0,
    exposure_s=600.0,
):
    degrees = np.array([(0, 0), (1, 0), (0, 1)])
    velocity = moved_ms + apart_ms * np.array(fibers) / 2
    terms = np.array([466000.0, 4100.0, 10.0]) * (1 + velocity[:, None] / doppler.C_MS)
    f, t = len(fibers), len(degrees)
    scale = Solution(fibers, ORDERS, N, degrees, terms, np.zeros((f, t, t)), np.full(f, scatter_ms), np.full(f, lines))
    flux = np.full((1, len(ORDERS), N), 1000.0 * light)
    reference = Spectra((1,), ORDERS, flux, flux, np.zeros(flux.shape, np.uint8), np.ones(flux.shape))
    return Arc(
        origin(Kind.ARC), scale, lamp(fibers, light, exposure_s), None, None, reference, np.full(f, transfer_ms),
        np.full(f, exposure_s),
    )  # fmt: skip


def lamp(fibers, light, exposure_s, n=40):
    """Lines of all fibers, each light that of its number; some have no wavelength, and each lamp has one of its own."""
    rng = np.random.default_rng(3)
    fiber, order = np.repeat(fibers, n), np.tile(np.arange(60, 60 + n), len(fibers))
    flux = light * exposure_s * (1 + order - 60.0) * rng.uniform(0.97, 1.03, len(order))
    angstrom = np.where(order % 7 == 0, np.nan, 460000.0 / order)
    angstrom[-1] += light
    nothing = np.ones(len(order))
    return ArcLines(fiber, order, nothing, nothing, flux, nothing, angstrom, order % 5 > 0)


def test_a_master_is_judged_by_the_worst_that_is_found():
    calm, odd = Finding("a", 0.1, 1, 2, "a {value:.1f}"), Finding("b", -1.5, 1, 2, "b {value:+.1f}")
    assert Judgement(()).verdict is Judgement((calm,)).verdict is Verdict.ACCEPTED
    assert Judgement((calm, odd)).verdict is Verdict.FLAGGED
    wild = replace(odd, value=-2.5)
    assert Judgement((calm, odd, wild)).verdict is Verdict.REVIEW
    assert Judgement((calm, odd, wild)).reasons == ["b -2.5", "b -1.5"]


def test_what_cannot_be_measured_is_held():
    assert Finding("a", np.nan, 1, 2, "a").verdict is Verdict.REVIEW


def test_a_flat_is_missing_the_orders_of_the_spectrograph_that_it_does_not_have_whatever_others_it_has(nres01):
    shifted = master_checks.judge(flat(orders=np.arange(55, 122)), None, nres01)
    assert {f.name: f.value for f in shifted.findings}["orders_missing"] == 3


@pytest.mark.parametrize("make", [bias, dark, flat])
def test_masters_that_differ_by_noise_are_accepted(make, nres01):
    assert master_checks.judge(make(seed=1), None, nres01).verdict is Verdict.ACCEPTED
    assert master_checks.judge(make(seed=1), make(seed=2), nres01).verdict is Verdict.ACCEPTED


def test_arcs_of_two_usual_nights_are_accepted(nres01):
    assert master_checks.judge(arc(), None, nres01).verdict is Verdict.ACCEPTED
    assert master_checks.judge(arc(moved_ms=120), arc(moved_ms=-60, light=1.3), nres01).verdict is Verdict.ACCEPTED


@pytest.mark.parametrize(
    ("new", "last", "verdict", "words"),
    [
        (bias(level=2), bias(), Verdict.FLAGGED, "its level has changed by +2.00 ADU"),
        (bias(level=-30), bias(), Verdict.REVIEW, "its level has changed by -30.00 ADU"),
        (bias(structure=3), bias(), Verdict.FLAGGED, "its structure has changed"),
        (bias(noise=2.6), bias(), Verdict.FLAGGED, "the read noise has changed by +18%"),
        (bias(noise=6.6), None, Verdict.FLAGGED, "read noise 6.6 ADU, the header does not say, the table 2.2"),
        (dark(rate=0.05), dark(), Verdict.REVIEW, "the dark current has changed by +0.0498 ADU a second"),
        (dark(rate=1.0), None, Verdict.REVIEW, "half of the pixels gain more than 1.000 ADU a second"),
        (dark(hot=0.2), None, Verdict.REVIEW, "% of the pixels are hot or unsteady"),
        (flat(shift=0.7), flat(), Verdict.FLAGGED, "the orders have moved by +0.70 px"),
        (flat(shift=-3.0), flat(), Verdict.REVIEW, "the orders have moved by -3.00 px"),
        (flat(warp=10.0), flat(), Verdict.REVIEW, "the orders have bent by"),
        (flat(width=1.1), flat(), Verdict.FLAGGED, "the width of the orders has changed by +10%"),
        (flat(tilt=0.5), flat(), Verdict.FLAGGED, "the color of the lamp has changed"),
        (flat(gain=3.5), flat(), Verdict.FLAGGED, "the gain has changed from 3.200 to 3.500 electron / ADU (+9.4%)"),
        (flat(gain=1.0), flat(), Verdict.REVIEW, "the gain has changed from 3.200 to 1.000 electron / ADU (-68.8%)"),
        (flat(gain=9.0), None, Verdict.FLAGGED, "gain 9.000 +- 0.010 electron / ADU, the header does not say"),
        (flat(fibers=(0, 1)), flat(), Verdict.FLAGGED, "fibers [2] have no light any more"),
        (flat(orders=ORDERS[:60]), None, Verdict.REVIEW, "7 orders were not found"),
        (flat(orders=ORDERS[:65]), flat(), Verdict.FLAGGED, "2 orders of the last flat were not found"),
        (arc(moved_ms=900), arc(), Verdict.FLAGGED, "the wavelengths have moved by +900 m/s"),
        (arc(moved_ms=-9000), arc(), Verdict.REVIEW, "the wavelengths have moved by -9000 m/s"),
        (arc(apart_ms=50), arc(), Verdict.FLAGGED, "the fibers have moved apart by 50 m/s"),
        (arc(fibers=(0, 1)), arc(), Verdict.FLAGGED, "fibers [2] have no lamp any more"),
        (arc(light=0.5), arc(), Verdict.FLAGGED, "the lamp gives fiber 2 0.50 times the light of the last one"),
        (arc(light=0.1), arc(), Verdict.REVIEW, "the lamp gives fiber 0 0.10 times the light of the last one"),
        (flat(light=0.6), flat(), Verdict.FLAGGED, "the lamp gives fiber 1 0.60 times the light of the last one"),
        (flat(light=(1, 1, 0.15)), flat(), Verdict.REVIEW, "the lamp gives fiber 2 0.15 times the light of the last"),
        (arc(lines=1200), None, Verdict.FLAGGED, "7 lines an order fewer than 25 were used"),
        (arc(scatter_ms=600), None, Verdict.REVIEW, "the lines scatter by 600 m/s"),
        (arc(transfer_ms=np.inf), None, Verdict.REVIEW, "a fiber's zero point is known to inf m/s"),
    ],
)  # fmt: skip
def test_a_master_that_is_unlike_the_last_one_is_told_so(new, last, verdict, words, nres01):
    judged = master_checks.judge(new, last, nres01)
    assert judged.verdict is verdict
    assert any(words in reason for reason in judged.reasons), judged.reasons


def test_header_and_table_are_named_with_their_values(nres01):
    camera = replace(bias(noise=6.6), header_read_noise_adu=7.3)
    assert master_checks.judge(camera, None, nres01).reasons == [
        "read noise 6.6 ADU, the header says 7.3, the table 2.2"
    ]
    by_header = replace(flat(gain=3.2), header_gain_e_per_adu=1.0)
    says = "gain 3.200 +- 0.010 electron / ADU, the header says 1.00, the table 3.20"
    assert master_checks.judge(by_header, None, nres01).reasons == [says]


def test_what_the_nights_before_have_shown_of_header_and_table_is_told_and_is_no_change(nres01):
    for made in (bias(noise=6.6), replace(flat(gain=1.0), header_gain_e_per_adu=3.0)):
        alone = master_checks.judge(made, None, nres01)
        again = master_checks.judge(made, made, nres01).compared_with(alone)
        assert alone.verdict is again.verdict is Verdict.FLAGGED
        assert alone.changed
        assert not again.changed


def test_a_gain_within_the_error_of_the_night_has_not_changed(nres01):
    last, poor = flat(), replace(flat(gain=3.2), night_gain_e_per_adu=2.9, night_gain_error=0.16)
    assert master_checks.judge(poor, last, nres01).verdict is Verdict.ACCEPTED
    good = replace(poor, night_gain_error=0.01)
    assert master_checks.judge(good, last, nres01).verdict is Verdict.FLAGGED


def test_longer_arcs_of_the_same_lamp_have_the_same_light(nres01):
    judged = master_checks.judge(arc(exposure_s=1800.0), arc(exposure_s=600.0), nres01)
    assert judged.verdict is Verdict.ACCEPTED
    assert [abs(f.value) < 0.01 for f in judged.findings if f.name.startswith("light_fiber")] == [True] * 3


def test_masters_from_before_the_light_was_kept_are_compared_by_the_rest(nres01):
    old_flat, old_arc = replace(flat(), peak_e_per_s=None), replace(arc(), exposure_s=None)
    for new, last in ((flat(light=0.1), old_flat), (arc(light=0.1), old_arc)):
        assert master_checks.judge(new, last, nres01).verdict is Verdict.ACCEPTED


def test_a_fiber_without_any_light_in_common_with_the_last_flat_is_held(nres01):
    judged = master_checks.judge(flat(light=(0, 1, 1)), flat(), nres01)
    assert judged.verdict is Verdict.REVIEW


def test_masters_of_different_fibers_and_orders_can_be_compared(nres01):
    judged = master_checks.judge(flat(fibers=(1, 2), orders=ORDERS[1:]), flat(fibers=(0,), orders=ORDERS[:-1]), nres01)
    assert judged.verdict is Verdict.FLAGGED
    assert "fibers [0] have no light any more" in judged.reasons


def test_a_master_of_which_most_is_useless_is_rejected(nres01):
    good, bad = bias(), bias()
    mask = np.zeros((N, N), np.uint8)
    mask[: round(0.6 * N)] = np.uint8(Pixel.BAD)
    judged = master_checks.judge(replace(bad, mask=mask), good, nres01)
    assert judged.verdict is Verdict.REJECTED
    assert judged.reasons[0].startswith("6")
    assert judged.reasons[0].endswith("% of the pixels are bad")
    dark = flat()
    dark = replace(dark, blaze=np.where(np.arange(dark.blaze.shape[-1]) > 5, 0.0, dark.blaze))
    assert master_checks.judge(dark, None, nres01).verdict is Verdict.REJECTED


def test_what_the_last_good_master_shows_as_well_is_told_and_asks_for_no_review():
    own = Judgement((Finding("a", 3.0, 1.0, 2.0, "a {value}"),))
    new = Judgement((Finding("a", 4.0, 1.0, 2.0, "a {value}"), Finding("b", 3.0, 1.0, 2.0, "b {value}")))
    compared = new.compared_with(own)
    assert [finding.verdict for finding in compared.findings] == [Verdict.FLAGGED, Verdict.REVIEW]
    assert compared.reasons == ["b 3.0", "a 4.0"]
    assert compared.changed
    alone = Judgement(new.findings[:1]).compared_with(own)
    assert (alone.verdict, alone.changed) == (Verdict.FLAGGED, False)
    worse = Judgement((Finding("a", 9.0, 1.0, 2.0, "a {value}", useless=5.0),)).compared_with(own)
    assert worse.verdict is Verdict.REJECTED
