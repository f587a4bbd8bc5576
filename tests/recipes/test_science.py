from dataclasses import replace

import numpy as np
import pytest

from nrespipe.engine.velocity import barycenter
from nrespipe.engine.wavelength import solution
from nrespipe.errors import BadFrame
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind
from nrespipe.frames.star import Star
from nrespipe.recipes import science
from nrespipe.simulator import bench as benches
from nrespipe.simulator import frame as frames
from nrespipe.simulator import stars

pytestmark = pytest.mark.slow

NAMES = ("HD102365", "HD22049")


@pytest.fixture(scope="module")
def observed(expose, references, spectrograph):
    """Two stars at once, after the bench has drifted by some tens of m/s."""
    targets = {fiber: replace(stars.target(name), snr=90.0) for fiber, name in zip((0, 2), NAMES)}
    seen = {fiber: barycenter.at(target.star, 58578.5 + 300 / 86400, spectrograph) for fiber, target in targets.items()}
    state = benches.State(velocity_ms=25.0, shift_px=0.02, stretch_px=-0.01, rise_px=0.04)
    scene = frames.Scene(
        Kind.SCIENCE, ("star", "thar", "star"), 600.0, targets, {fiber: b.berv_ms for fiber, b in seen.items()}
    )
    shot = expose(scene, seed=7, state=state)
    raw = replace(shot.raw, objects=(NAMES[0], "thar", NAMES[1]), start_mjd=58578.5)
    refs = replace(references, stars={fiber: target.star for fiber, target in targets.items()})
    return shot, raw, refs, targets, science.reduce(raw, refs, spectrograph)


def test_each_of_two_stars_has_the_velocity_that_was_put_in(observed):
    *_, targets, reduction = observed
    assert [v.fiber for v in reduction.velocities] == [0, 2]
    for v in reduction.velocities:
        off = v.rv_ms - targets[v.fiber].rv_ms
        assert abs(off) < 30
        assert abs(off) < 5 * np.hypot(v.error_ms, v.mask_error_ms)
        assert v.error_ms < 20


def test_the_drift_of_the_bench_is_found_within_its_error(observed, bench):
    shot, *_, reduction = observed
    moved = reduction.wavelengths.drift
    assert moved.n_lines > 100
    off_ms = moved.velocity_ms - benches.drift_ms(bench, shot.truth.state)
    assert abs(off_ms) < 4 * moved.velocity_error_ms
    assert moved.velocity_error_ms < 10


def test_the_parts_of_the_error_add_up(observed):
    *_, reduction = observed
    for v in reduction.velocities:
        parts = v.photon_error_ms, v.wavelength_error_ms, v.drift_error_ms, v.transfer_error_ms
        assert v.error_ms == pytest.approx(np.sqrt(np.sum(np.square(parts))))
        assert all(0 < part < 20 for part in parts)
    assert "drift_scatter_ms" not in reduction.measurements


def test_a_star_without_coordinates_keeps_its_spectrum_and_has_no_velocity(observed, spectrograph):
    _, raw, refs, _, first = observed
    reduction = science.reduce(raw, replace(refs, stars={0: refs.stars[0]}), spectrograph)
    assert [v.fiber for v in reduction.velocities] == [0]
    assert Quality.NO_COORDINATES in reduction.quality
    np.testing.assert_array_equal(reduction.spectra.flux, first.spectra.flux)


def test_a_spectrograph_of_unknown_place_gives_spectra_and_says_why_there_is_no_velocity(observed, spectrograph):
    _, raw, refs, _, _ = observed
    nowhere = replace(spectrograph, longitude_deg=np.nan, latitude_deg=np.nan, height_m=np.nan)
    reduction = science.reduce(replace(raw, telescopes=()), refs, nowhere)
    assert Quality.NO_COORDINATES in reduction.quality
    assert reduction.velocities == ()
    assert reduction.wavelengths is not None


def test_a_doubt_about_one_star_is_not_held_against_the_other(observed, spectrograph):
    _, raw, refs, _, _ = observed
    unknown = replace(refs.stars[2], source="telescope")
    reduction = science.reduce(raw, replace(refs, stars={0: refs.stars[0], 2: unknown}), spectrograph)
    doubtful = {v.fiber: Quality.NO_CATALOG_STAR in v.quality for v in reduction.velocities}
    assert doubtful == {0: False, 2: True}
    assert Quality.NO_CATALOG_STAR in reduction.quality


def test_the_same_frame_gives_the_same_numbers_again(observed, spectrograph):
    _, raw, refs, _, first = observed
    again = science.reduce(raw, refs, spectrograph)
    for name in ("flux", "variance", "quality"):
        np.testing.assert_array_equal(getattr(again.spectra, name), getattr(first.spectra, name))
    np.testing.assert_array_equal(again.wavelengths.vacuum_angstrom, first.wavelengths.vacuum_angstrom)
    assert [v.rv_ms for v in again.velocities] == [v.rv_ms for v in first.velocities]


def test_without_masks_there_are_spectra_and_motions_and_no_velocities(observed, spectrograph):
    _, raw, refs, _, first = observed
    reduction = science.reduce(raw, replace(refs, masks={}), spectrograph)
    assert reduction.velocities == ()
    assert reduction.barycentric == first.barycentric
    np.testing.assert_array_equal(reduction.spectra.flux, first.spectra.flux)


def test_a_star_without_the_lamp_has_the_scatter_of_earlier_drifts_in_its_error(reduced):
    _, reduction = reduced({0: 60.0}, lamp=False, drift_scatter_ms=123.0)
    (found,) = reduction.velocities
    assert Quality.NO_DRIFT in found.quality
    assert found.drift_error_ms == 123.0
    assert found.error_ms > 123.0
    assert reduction.measurements["drift_scatter_ms"] == 123.0


def test_a_frame_without_a_star_is_refused(observed, spectrograph):
    _, raw, refs, *_ = observed
    with pytest.raises(BadFrame, match="no fiber carries a star"):
        science.reduce(replace(raw, objects=("none", "thar", "none")), refs, spectrograph)


def test_a_frame_without_light_is_refused(expose, references, spectrograph):
    dark = expose(frames.Scene(Kind.SCIENCE, ("none", "none", "none"), 600.0, {}, {}), seed=8).raw
    raw = replace(dark, objects=(NAMES[0], "thar", "none"), start_mjd=58578.5)
    refs = replace(references, stars={0: stars.target(NAMES[0]).star})
    with pytest.raises(BadFrame, match="no light in the fibers"):
        science.reduce(raw, refs, spectrograph)


def test_the_arc_knows_the_numbers_of_all_orders_and_the_wavelengths_of_all_fibers(references, spectrograph):
    scale = references.arc.solution
    assert scale.fibers == (0, 1, 2)
    np.testing.assert_array_equal(scale.orders, spectrograph.orders)
    green = solution.evaluate(scale, 1, np.array([90]), np.array([768.0]))
    assert 5170 < green[0] < 5200


@pytest.fixture
def reduced(expose, references, spectrograph):
    """Return a function that reduces stars of given signal-to-noise ratio, as the catalog has them or otherwise."""

    def make(snr, known=None, seed=40, lamp=True, **others):
        targets = {fiber: replace(stars.target(name), snr=snr[fiber]) for fiber, name in zip(snr, NAMES)}
        seen = {
            fiber: barycenter.at(target.star, 58578.5 + 300 / 86400, spectrograph) for fiber, target in targets.items()
        }
        sources = tuple("star" if fiber in snr else "thar" if fiber == 1 and lamp else "none" for fiber in range(3))
        bervs = {fiber: b.berv_ms for fiber, b in seen.items()}
        raw = expose(frames.Scene(Kind.SCIENCE, sources, 600.0, targets, bervs), seed=seed).raw
        names = tuple(targets[fiber].star.name if fiber in snr else sources[fiber] for fiber in range(3))
        catalog = {fiber: target.star for fiber, target in targets.items()} | (known or {})
        refs = replace(references, stars=catalog, **others)
        return targets, science.reduce(replace(raw, objects=names, start_mjd=58578.5), refs, spectrograph)

    return make


def test_a_saturated_star_has_a_velocity_from_the_pixels_that_are_left_and_says_so(reduced):
    targets, reduction = reduced({0: 900.0})
    (found,) = reduction.velocities
    assert Quality.SATURATED_STAR in found.quality
    assert abs(found.rv_ms - targets[0].rv_ms) < 5 * np.hypot(found.error_ms, found.mask_error_ms)
    assert np.mean(found.by_order.weight > 0) > 0.2


def test_a_star_of_a_signal_of_two_and_one_of_no_catalog_have_results_with_their_reasons(reduced):
    nobody = Star("NEWSTAR", ra_deg=stars.target(NAMES[1]).star.ra_deg, dec_deg=stars.target(NAMES[1]).star.dec_deg)
    targets, reduction = reduced({0: 2.0, 2: 60.0}, {2: replace(nobody, source="telescope")})
    faint, unknown = reduction.velocities
    assert Quality.LOW_SIGNAL in faint.quality
    if Quality.NO_VELOCITY in faint.quality:
        assert np.isnan(faint.rv_ms)
    else:
        assert abs(faint.rv_ms - targets[0].rv_ms) < 5 * np.hypot(faint.error_ms, faint.mask_error_ms)
        assert faint.error_ms > 20
    assert {index.reason for index in faint.activity if index.name == "s_index_r"} != {""}
    assert Quality.NO_CATALOG_STAR in unknown.quality
    assert Quality.TYPE_GUESSED in unknown.quality
    assert Quality.NO_CATALOG_STAR not in faint.quality
    assert unknown.mask == "K2"
    # without proper motion and parallax the barycentric correction of this star is off by 3 m/s more
    assert abs(unknown.rv_ms - targets[2].rv_ms) < 5 * np.hypot(unknown.error_ms, unknown.mask_error_ms) + 10
    assert abs(unknown.stellar_type.teff_k - 5050) < 3 * unknown.stellar_type.teff_error_k
