"""Panels of a frame show the numbers that they were given."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure

from nrespipe import data
from nrespipe.engine.velocity import measurement
from nrespipe.frames.quality import UNCERTAIN, Quality
from nrespipe.frames.reports import EarlierVelocities
from nrespipe.frames.velocity import Barycentric
from nrespipe.plots import spectral_regions, star_panels, verdict
from nrespipe.simulator import bench as benches
from nrespipe.simulator import extracted_stars, stars

MASKS = {"G2": data.stellar_lines("G2")}


@pytest.fixture(scope="module")
def star(nres01):
    bench, motion = benches.build(nres01), Barycentric(58579.0, 2458579.5, 5e3, True)
    target = replace(stars.target("HD102365"), snr=120.0)
    light = SimpleNamespace(
        spectra=extracted_stars.expose(bench, target, 5e3, seed=3), wavelengths=extracted_stars.wavelengths(bench)
    )
    return light, measurement.measure(light.spectra, light.wavelengths, 0, target.star, MASKS, data.tellurics(), motion)


@pytest.mark.parametrize("flag", list(Quality), ids=lambda flag: flag.name)
def test_every_flag_has_a_consequence_and_takes_the_velocity_out_of_the_series_only_where_the_series_does(flag):
    found = verdict.of(flag)
    assert found.reasons == (f"{flag.name}: {verdict.CONSEQUENCES[flag]}",)
    assert found.usable is not bool(flag & UNCERTAIN)


def test_a_frame_without_flags_is_good_and_one_that_was_not_reduced_has_its_reason():
    assert verdict.of(Quality(0)) == (True, "Good: no quality flag is set.", ())
    assert verdict.of(Quality(0), "damaged").reasons == ("damaged",)


@pytest.mark.slow
def test_the_model_beside_the_spectrum_leaves_less_than_two_percent_of_the_continuum(star):
    light, velocity = star
    figure = Figure()
    upper, lower = figure.subplots(2, 1)
    spectral_regions.draw_fitted(
        upper, lower, spectral_regions.MG_B, light.spectra, light.wavelengths, light.wavelengths.line_shape, velocity
    )
    told = next(text.get_text() for text in lower.texts)
    scatter, noise = (float(word.strip(",")) for word in told.split() if word[0].isdigit())
    assert noise <= scatter < 0.02
    # with lines twice as wide it leaves far more: the model is that of the numbers that the velocity keeps
    figure = Figure()
    upper, lower = figure.subplots(2, 1)
    wide = replace(velocity, broadening_ms=3 * velocity.broadening_ms)
    spectral_regions.draw_fitted(
        upper, lower, spectral_regions.MG_B, light.spectra, light.wavelengths, light.wavelengths.line_shape, wide
    )
    told = next(text.get_text() for text in lower.texts)
    assert float(told.split()[1].strip(",")) > 2 * scatter


@pytest.mark.slow
def test_the_ccf_of_the_model_is_that_of_the_spectrum_within_a_percent(star):
    _, velocity = star
    assert velocity.ccf_model == pytest.approx(velocity.ccf.sum(axis=0), abs=0.01)


@pytest.mark.slow
def test_the_orders_in_the_velocity_are_those_that_are_marked(star):
    light, velocity = star
    axes = Figure().subplots()
    star_panels.draw_signal(axes, light.spectra, 0, velocity)
    marked = next(line for line in axes.lines if line.get_label() == "in the velocity")
    assert list(marked.get_xdata()) == list(velocity.orders[velocity.by_order.weight > 0])
    assert np.median(marked.get_ydata()) == pytest.approx(120, rel=0.4)


@pytest.mark.slow
def test_the_numbers_are_those_of_the_velocity_with_their_errors(star):
    _, velocity = star
    lines = dict(star_panels.number_lines(velocity, None))
    assert lines["velocity"] == f"{velocity.rv_ms:.2f} \u00b1 {velocity.error_ms:.2f} m/s"
    assert lines["drift"] == "not measured"
    unmeasured = replace(velocity, rv_ms=np.nan, error_ms=np.inf)
    assert dict(star_panels.number_lines(unmeasured, None))["velocity"] == "not measured"


@pytest.mark.slow
def test_a_velocity_is_drawn_among_the_earlier_ones_and_the_farthest_are_marked_at_the_edge(star):
    _, velocity = star
    off = np.append(np.random.default_rng(1).normal(0, 3, 29), 9000.0)
    bjd = velocity.barycentric.bjd_tdb - 1 - np.arange(30.0)
    earlier = EarlierVelocities(
        bjd, velocity.rv_ms + off, np.full(30, 2.0), np.zeros(30, bool), np.ones(30, bool)
    )  # fmt: skip
    axes = Figure().subplots()
    star_panels.draw_earlier(axes, velocity, earlier)
    assert axes.get_ylim()[1] < 100
    assert [line.get_xdata().tolist() for line in axes.lines if line.get_marker() == "^"] == [[bjd[-1] - 2400000.5]]
    assert "same fiber, 30" in axes.get_legend_handles_labels()[1]
