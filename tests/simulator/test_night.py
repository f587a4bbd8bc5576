"""A night on disk: form, names, truth."""

import csv
from itertools import pairwise

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.time import Time

from nrespipe import instruments
from nrespipe.frames.raw import Kind
from nrespipe.frames.star import Star
from nrespipe.simulator import bench as benches
from nrespipe.simulator import drift, night, observing_conditions, stars

DAY = "20190405"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("archive")
    observed = [stars.parse("HD102365:60+HD10700:80"), stars.parse("HD10700:70:2", exposure_s=300)]
    few = {"n_bias": 1, "n_dark": 0, "n_flat": 0, "n_arc": 0}
    path = night.write(root, instruments.load("nres01"), DAY, seed=3, stars=observed, truth_arrays=True, **few)
    return root, path


def _rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def _plan(name="nres01", observed=("HD102365:60",), **few):
    bench = benches.build(instruments.load(name))
    return bench, night.plan(bench, DAY, seed=3, stars=[stars.parse(text) for text in observed], **few)


@pytest.mark.slow
def test_files_lie_in_the_layout_of_the_archive_under_their_names(written):
    root, path = written
    assert path == root / "lsc" / "nres01" / DAY
    names = sorted(entry.name for entry in (path / "raw").iterdir())
    assert names == [
        "lscnrs01-fa09-20190405-0001-b00.fits.fz",
        "lscnrs01-fa09-20190405-0002-e00.fits.fz",
        "lscnrs01-fa09-20190405-0003-e00.fits.fz",
    ]


@pytest.mark.slow
def test_a_file_has_the_extensions_and_the_cards_of_a_real_one(written):
    with fits.open(written[1] / "raw" / "lscnrs01-fa09-20190405-0002-e00.fits.fz") as units:
        assert [unit.name for unit in units] == [
            "PRIMARY", "SPECTRUM", "EXPOSURE_METER", "AGU_1", "AGU_2", "TELESCOPE_1", "TELESCOPE_2",
        ]  # fmt: skip
        assert units[0].data is None
        header = units["SPECTRUM"].header
        assert units["SPECTRUM"].data.dtype == np.uint16
        assert units["SPECTRUM"].data.shape == (4108, 4160)
        assert header["OBJECTS"] == "HD102365&thar&HD10700"
        assert (header["OBSTYPE"], header["TELESCOP"], header["INSTRUME"]) == ("TARGET", "nres01", "fa09")
        assert (header["BIASSEC"], header["DATASEC"]) == ("[4103:4160,1:4096]", "[1:4096,1:4096]")
        assert header["DAY-OBS"] == DAY
        assert Time(header["DATE-OBS"]).mjd == pytest.approx(header["MJD-OBS"], abs=1e-8)
        assert units["TELESCOPE_2"].header["OBJECT"] == "HD10700"
        assert units["EXPOSURE_METER"].columns.names == [
            "JD_START", "EXP_TIME", "FIB0COUNTS", "FIB1COUNTS", "FIB2COUNTS", "EMFLAGS",
        ]  # fmt: skip


@pytest.mark.slow
def test_the_telescope_header_leaves_cos_dec_out_of_the_proper_motion(written):
    with fits.open(written[1] / "raw" / "lscnrs01-fa09-20190405-0002-e00.fits.fz") as units:
        header = units["TELESCOPE_1"].header
    star = stars.target("HD102365").star
    assert header["PM-RA"] * np.cos(np.radians(star.dec_deg)) == pytest.approx(star.pm_ra_mas_yr / 1e3)
    place = SkyCoord(header["CAT-RA"], header["CAT-DEC"], unit=("hourangle", "deg"))
    assert place.separation(SkyCoord(star.ra_deg, star.dec_deg, unit="deg")).arcsec < 0.01


@pytest.mark.slow
def test_truth_lies_beside_the_frames_and_not_inside_them(written):
    rows = _rows(written[1] / "truth" / "velocities.csv")
    assert [(row["object"], row["fiber"]) for row in rows] == [("HD102365", "0"), ("HD10700", "2"), ("HD10700", "2")]
    assert float(rows[0]["rv_ms"]) == 16900.0
    assert len(_rows(written[1] / "truth" / "frames.csv")) == 3
    truth = np.load(written[1] / "truth" / "lscnrs01-fa09-20190405-0002-e00.npz")
    assert truth["flux_electron"].shape == (3, 67, 4096)
    with fits.open(written[1] / "raw" / "lscnrs01-fa09-20190405-0002-e00.fits.fz") as units:
        words = " ".join(str(card) for unit in units for card in unit.header.cards)
    assert "BERV" not in words
    assert "DRIFT" not in words


@pytest.mark.slow
def test_one_frame_made_alone_is_the_frame_of_the_night(written):
    bench, shots = _plan(observed=["HD102365:60+HD10700:80"], n_bias=1, n_dark=0, n_flat=0, n_arc=0)
    alone = night.expose(bench, shots[1], seed=3).adu
    name = f"{shots[1].filename}.fits.fz"
    np.testing.assert_array_equal(alone, fits.getdata(written[1] / "raw" / name, "SPECTRUM"))


@pytest.mark.slow
def test_the_same_night_is_the_same_bytes(written, tmp_path):
    few = {"n_bias": 1, "n_dark": 0, "n_flat": 0, "n_arc": 0}
    again = night.write(tmp_path, instruments.load("nres01"), DAY, seed=3, stars=[], **few)
    name = "lscnrs01-fa09-20190405-0001-b00.fits.fz"
    assert (again / "raw" / name).read_bytes() == (written[1] / "raw" / name).read_bytes()


def test_a_site_of_two_telescopes_calibrates_both_pairs_of_fibers():
    _, shots = _plan(n_bias=2, n_dark=1, n_flat=3, n_arc=2)
    kinds = [shot.scene.kind for shot in shots]
    assert [kinds.count(kind) for kind in Kind] == [2, 1, 6, 4, 1]
    objects = {shot.objects for shot in shots if shot.scene.kind is Kind.FLAT}
    assert objects == {("tung", "tung", "none"), ("none", "tung", "tung")}
    assert all(b.start_mjd > a.start_mjd + a.scene.exposure_s / 86400 for a, b in pairwise(shots))


@pytest.mark.slow
def test_a_site_of_one_telescope_has_one_pair_and_an_absent_second_telescope(tmp_path):
    bench, shots = _plan("nres02", n_flat=2, n_arc=1)
    assert {shot.objects for shot in shots if shot.scene.kind is Kind.ARC} == {("thar", "thar", "none")}
    path = night.write(tmp_path, bench.spectrograph, DAY, seed=1, stars=[], n_bias=1, n_dark=0, n_flat=0, n_arc=0)
    with fits.open(next((path / "raw").iterdir())) as units:
        assert units["TELESCOPE_1"].header["LONGITUD"] == pytest.approx(-104.015173)
        assert units["TELESCOPE_2"].header["LONGITUD"] == "N/A"
    with pytest.raises(ValueError, match="no telescope feeds fiber 2"):
        _plan("nres02", ["HD10700:50:2"])


def test_the_barycentric_truth_is_that_of_astropy_for_a_star_that_stands_still():
    spectrograph = instruments.load("nres01")
    star = Star(name="X", ra_deg=176.6, dec_deg=-40.5)
    times = np.array([58579.1, 58700.3])
    berv_ms, _ = observing_conditions.barycenter(spectrograph, star, times)
    place = SkyCoord(star.ra_deg, star.dec_deg, unit="deg")
    with observing_conditions._offline():
        time = Time(times, format="mjd", location=observing_conditions._place(spectrograph))
        expected = place.radial_velocity_correction("barycentric", time).to_value(u.m / u.s)
    np.testing.assert_allclose(berv_ms, expected, atol=1e-3)


def test_proper_motion_and_parallax_move_the_barycentric_truth_by_metres_per_second_over_years():
    spectrograph, times = instruments.load("nres01"), np.arange(61041, 61406, 20.0)
    fast = Star("B", 269.452, 4.694, 2000.0, -801.6, 10362.4, 546.98, -110.5)
    still = Star("B", 269.452, 4.694)
    difference = (
        observing_conditions.barycenter(spectrograph, fast, times)[0]
        - observing_conditions.barycenter(spectrograph, still, times)[0]
    )
    # 38 m/s peak to peak over 2026 for Barnard's star, with coordinates of 2000
    assert np.ptp(difference) == pytest.approx(38, abs=5)


def test_the_velocity_of_a_near_star_holds_at_the_epoch_of_its_position_as_in_astropy():
    spectrograph, times = instruments.load("nres03"), np.array([58000.2, 61041.7])
    star = Star("B", 269.452, 4.694, 2000.0, -801.6, 10362.4, 546.98, -110.5)
    berv_ms, _ = observing_conditions.barycenter(spectrograph, star, times)
    place = SkyCoord(
        star.ra_deg * u.deg, star.dec_deg * u.deg, distance=1000 / star.parallax_mas * u.pc,
        pm_ra_cosdec=star.pm_ra_mas_yr * u.mas / u.yr, pm_dec=star.pm_dec_mas_yr * u.mas / u.yr,
        radial_velocity=star.rv_kms * u.km / u.s, obstime=Time(2000.0, format="jyear"),
    )  # fmt: skip
    with observing_conditions._offline():
        location = observing_conditions._place(spectrograph)
        expected = [
            place.radial_velocity_correction("barycentric", Time(mjd, format="mjd"), location).to_value(u.m / u.s)
            for mjd in times
        ]
    np.testing.assert_allclose(berv_ms, expected, atol=1e-3)


def test_the_exposure_meter_is_mirrored_and_tells_the_true_midpoint_to_half_a_second():
    _, shots = _plan(observed=["HD102365:200:0", "HD10700:200:2"], n_bias=0, n_dark=0, n_flat=0, n_arc=0)
    for shot, column in zip(shots, (2, 0)):
        (sight,) = shot.sights.values()
        meter = shot.meter
        assert np.argmax(np.median(meter.counts[:, [0, 2]], axis=0)) * 2 == column
        assert meter.start_mjd[0] < shot.start_mjd
        assert meter.start_mjd[-1] > shot.start_mjd + shot.scene.exposure_s / 86400
        middle = (meter.start_mjd - shot.start_mjd) * 86400 + meter.exposure_s / 2
        light = np.interp(np.arange(0.5, 600), middle, meter.counts[:, column] - 20)
        midpoint_s = np.sum(light * np.arange(0.5, 600)) / light.sum()
        assert midpoint_s == pytest.approx((sight.midpoint_mjd - shot.start_mjd) * 86400, abs=0.5)


def test_clouds_move_the_midpoint_off_the_middle_of_the_exposure():
    moved = []
    for seed in range(20):
        throughput = observing_conditions.clouds(np.random.default_rng(seed), 600.0)
        assert 0 < throughput.rate.min() <= throughput.rate.max() <= 1
        sight = observing_conditions.see(
            instruments.load("nres01"), stars.target("HD10700").star, 58579.0, 600.0, throughput
        )
        moved.append((sight.midpoint_mjd - 58579.0) * 86400 - 300)
    assert 2 < np.std(moved) < 60


def test_the_bench_drifts_smoothly_and_its_sensors_follow():
    bench = benches.build(instruments.load("nres01"))
    movement = drift.through(bench, DAY)
    start = drift.midnight_mjd(DAY)
    states = [movement.at(start + 0.8 + k / 480) for k in range(240)]
    velocity = np.array([benches.drift_ms(bench, state) for state in states])
    assert 3 < np.ptp(velocity) < 600
    assert np.abs(np.diff(velocity)).max() < 15
    pressure = np.array([state.pressure_psi for state in states])
    assert np.corrcoef(pressure, [state.velocity_ms for state in states])[0, 1] > 0.999
    between = [state.fiber_ms[0] for state in states]
    assert 0.05 < np.std(between) < 3
    assert all(state.fiber_ms[1] == 0 for state in states)


def test_the_day_begins_at_its_midnight():
    assert drift.midnight_mjd("20190405") == Time("2019-04-05").mjd


def test_every_lamp_of_a_night_saturates_in_as_many_lines_as_are_asked_for():
    _, shots = _plan(n_bias=1, n_dark=0, n_flat=1, n_arc=1, saturated_lines=200)
    assert {shot.scene.saturated_lines for shot in shots} == {200}
