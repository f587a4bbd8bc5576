"""The tables below are the required parts of the EPRV data standard for levels 2 and 4, in our own short form."""

import io
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from made_products import MASTERS, N_ORDERS, N_PIXELS, NRES01, ORDERS, reduction_of, spectra_of, velocity_of

from nrespipe.errors import BadFrame
from nrespipe.files.products import common_parts, frame_products, product_reader, star_spectra_reader
from nrespipe.files.products.cards import sexagesimal
from nrespipe.files.products.product_inputs import iso, public_date
from nrespipe.files.raw import raw_file
from nrespipe.frames.quality import Pixel, Quality
from nrespipe.frames.reduction import Reduction
from nrespipe.frames.velocity import Barycentric

WORD, COUNT, REAL, TRUTH = str, int, (float, int), bool

PRIMARY = {
    WORD: "INSTRUME DATALVL OBSERVER OBSTYPE BINNING OBJECT FILENAME DATE DATE-OBS OBSERVAT TELESCOP TELEID1 GEOSYS"
    " DRPTAG EPRVTAG VOCLASS INSTERA FULLCOMP SUMMFLAG",
    COUNT: "NUMTRACE NUMORDER NUMTEL DQLVL0 DQLVL1 DQLVL2",
    REAL: "JD_UTC EXPTIME OBSLON OBSLAT OBSALT",
    TRUTH: "ISSOLAR",
}
PRIMARY_OF_A_TRACE = {WORD: "TRACE CLSRC CSRC CID CRA CDEC", REAL: "CEQNX CEPCH CRV"}
PRIMARY_L4 = {WORD: "RVMETHOD", REAL: "BJDTDB RV RVERR BERV SYSVEL"}
WAVE_OF_AN_ORDER = {
    WORD: "CTYPE{} CPDIS{} CUNIT{} PS{}_0 PS{}_2",
    COUNT: "CRPIX{} PS{}_1 PS{}_3",
    REAL: "CRVAL{} CDELT{} PV{}_0 PV{}_1",
}
BASE = ["PRIMARY", "INSTRUMENT_HEADER", "RECEIPT", "DRP_CONFIG", "EXT_DESCRIPT"]
L2_IMAGES = ["FLUX", "WAVE", "VAR", "BLAZE"]
COLUMNS = {
    "RECEIPT": "TIME CODE_RELEASE BRANCH_NAME COMMIT_HASH FUNCTION ARGS STATUS",
    "DRP_CONFIG": "ENTRY",
    "ORDER_TABLE": "ECHELLE_ORDER ORDER_INDEX WAVE_START WAVE_END",
    "RV1": "BJD_TDB RV RV_ERR BERV WAVE_START WAVE_END",
}

pytestmark = pytest.mark.filterwarnings("error")

_TIMED = ("FLUX", "VAR", "BLAZE")
LIGHT_MS = 299792458.0


def has(header, required, number=""):
    """Assert that a header has every keyword of a table, with a value of its type or none where it is not known."""
    for kind, keywords in required.items():
        for keyword in keywords.split():
            keyword = keyword.format(number) if "{" in keyword else f"{keyword}{number}"
            assert keyword in header, keyword
            value = header[keyword]
            unknown = kind is REAL and value is None
            assert unknown or isinstance(value, kind), (keyword, value)
            assert kind is TRUTH or not isinstance(value, bool), keyword


def test_a_star_without_a_velocity_has_its_products_all_the_same(make):
    def lost(velocity):
        numbers = dict.fromkeys(("rv_ms", "fwhm_ms", "contrast", "bisector_ms"), np.nan)
        errors = dict.fromkeys(("error_ms", "photon_error_ms", "wavelength_error_ms", "drift_error_ms"), np.inf)
        return replace(velocity, **numbers, **errors, ccf=velocity.ccf * np.nan, quality=Quality.NO_VELOCITY)

    _raw, reduction, _ = make("51 Peg&thar&HD 10700")
    good, bad = reduction.velocities
    _, _, (_, _, level4, _, _, other) = make("51 Peg&thar&HD 10700", changes={"velocities": (lost(good), bad)})
    assert level4["RV1"].header["DQWORDS"] == "no_velocity"
    assert level4[0].header["RV"] is level4["CCF1"].header["CCFRV"] is None
    assert np.isnan(level4["CCF1"].data).all()
    assert other["RV1"].header["RVSUM"] == pytest.approx(bad.rv_ms / 1000)


def test_a_frame_has_all_of_its_products_or_none(write_raw, tmp_path, monkeypatch):
    raw = raw_file.read(write_raw(OBJECTS="51 Peg&thar&none"))

    def broken(inputs, filename):
        raise ValueError("the second product cannot be made")

    monkeypatch.setattr(frame_products.l4, "build", broken)
    with pytest.raises(ValueError, match="second product"):
        frame_products.write(raw, reduction_of(raw), MASTERS, NRES01, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.fits.fz"))


@pytest.mark.parametrize(
    ("objects", "place", "fibers"),
    [
        ("51 Peg&thar&none", 0, (0, 1)),
        ("none&thar&51 Peg", 0, (1, 2)),
        ("51 Peg&thar&HD 10700", 0, (0, 1)),
        ("51 Peg&thar&HD 10700", 3, (1, 2)),
        ("51 Peg&none&HD 10700", 3, (2,)),
    ],
)
def test_the_spectra_of_each_star_have_every_required_part_of_the_standard(make, objects, place, fibers):
    _, _, files = make(objects)
    level2 = files[place]
    names = [hdu.name for hdu in level2]
    assert names[:6] == [*BASE, "ORDER_TABLE"]
    assert {"BARYCORR_KMS", "BARYCORR_Z", "BJD_TDB"} < set(names)
    has(level2[0].header, PRIMARY)
    for trace, fiber in enumerate(fibers, 1):
        has(level2[0].header, PRIMARY_OF_A_TRACE, trace)
        for part in L2_IMAGES:
            hdu = level2[f"TRACE{trace}_{part}"]
            assert hdu.data.shape == (N_ORDERS, N_PIXELS)
            assert hdu.header["FIBER"] == fiber
            has(hdu.header, {WORD: "EXTNAME CTYPE1"})
        assert level2[f"TRACE{trace}_BLAZE"].header["BLZNORM"] is True
        wave = level2[f"TRACE{trace}_WAVE"].header
        assert wave["WCSAXES"] == N_ORDERS
        for order in range(1, N_ORDERS + 1):
            has(wave, WAVE_OF_AN_ORDER, order)
        assert level2[f"TRACE{trace}_QUALITY"].data.dtype == np.uint8
    assert level2[0].header["NUMTRACE"] == len(fibers)
    assert level2[0].header["NUMORDER"] == N_ORDERS


def test_the_velocities_have_every_required_part_of_the_standard(make):
    raw, _, (_, _, one, _, _, other) = make("51 Peg&thar&HD 10700")
    for level4, fiber, trace in ((one, 0, 1), (other, 2, 2)):
        assert [hdu.name for hdu in level4][:6] == [*BASE, "RV1"]
        has(level4[0].header, PRIMARY)
        has(level4[0].header, PRIMARY_L4)
        has(level4["RV1"].header, {WORD: "EXTNAME CTYPE1 CTYPE2 RVMETHOD", TRUTH: "SKYRMVD TELLRMVD"})
        has(level4["CCF1"].header, {WORD: "CTYPE1 CTYPE2 CCFMASK", REAL: "VELSTART VELSTEP", COUNT: "VELNSTEP"})
        assert level4["RV1"].header["TRACE"] == level4[0].header["SCITRACE"] == trace
        assert level4["RV1"].header["OBJECT"] == level4[0].header["OBJECT"] == raw.objects[fiber]
        assert level4["CCF1"].data.shape == (N_ORDERS, 81)
        assert len(level4["RV1"].data) == N_ORDERS
        assert len(level4["DIAGNOSTICS1"].data) > 3


def test_the_error_of_a_velocity_has_its_parts_and_its_absolute_form_beside_it_wherever_it_is_given(make):
    velocity = velocity_of(0, "51 Peg", Barycentric(58579.1035, 2458579.6, 12345.6, True))
    parts = {"error_ms": 13.0, "photon_error_ms": 3.0, "wavelength_error_ms": 4.0, "drift_error_ms": 12.0}
    velocity = replace(velocity, **parts, mask_error_ms=84.0, scale_error_ms=0.0)
    _, _, (_, _, level4) = make(changes={"velocities": (velocity,)})
    for header, total in ((level4[0].header, "RVERR"), (level4["RV1"].header, "RVSUMERR")):
        shown = [header[f"RVERR{part}"] for part in ("PHO", "WAV", "DRI", "TRA")]
        assert header[total] == pytest.approx(np.linalg.norm(shown)) == pytest.approx(0.013)
        assert header["RVERRABS"] == pytest.approx(0.085)


def test_the_header_of_a_ccf_says_how_its_dip_relates_to_the_velocity(make):
    velocity = velocity_of(0, "51 Peg", Barycentric(58579.1035, 2458579.6, 12345.6, True))
    dip = (1 - 0.5 * np.exp(-0.5 * ((velocity.grid_ms + 4000) / 3000) ** 2)) / N_ORDERS
    velocity = replace(velocity, rv_ms=-4100.0, ccf=np.tile(dip, (N_ORDERS, 1)))
    _, _, (_, _, level4) = make(changes={"velocities": (velocity,)})
    assert level4["CCF1"].header["CCFRV"] == pytest.approx(-4.0, abs=1e-4)
    assert level4["CCF1"].header["CCFRVDIF"] == pytest.approx(0.1, abs=1e-4)


def test_the_joined_orders_have_every_required_part_of_the_standard(make):
    _, reduction, (_, level3, _) = make()
    joined = reduction.stitched[0]
    assert [hdu.name for hdu in level3][:6] == [*BASE, "ORDER_TABLE"]
    has(level3[0].header, {**PRIMARY, TRUTH: "BLZCORR LMPCORR SEDCORR DISPCORR", WORD: "INTERPMD FLXNRMMD"})
    np.testing.assert_array_equal(level3["STITCHED_CORR_SCI_WAVE"].data, joined.vacuum_angstrom)
    for part, array in (
        ("CORR_SCI_FLUX", joined.flux),
        ("CORR_SCI_VAR", joined.variance),
        ("CUSTOMCORR1_SCI_FLUX", joined.normalized),
        ("CUSTOMCORR1_SCI_VAR", joined.normalized_variance),
    ):
        np.testing.assert_array_equal(level3[f"STITCHED_{part}"].data, array.astype("f4"))
    assert level3["STITCHED_CORR_SCI_FLUX"].header["VELSTEP"] == pytest.approx(1.5)


def test_every_table_has_the_columns_of_the_standard_and_every_part_is_described(make):
    _, _, (level2, _, level4) = make()
    for hdus in (level2, level4):
        for name in set(COLUMNS) & {hdu.name for hdu in hdus}:
            assert set(COLUMNS[name].split()) <= set(hdus[name].columns.names)
        assert [row["Name"] for row in hdus["EXT_DESCRIPT"].data] == [hdu.name for hdu in hdus]
        assert all(len(row["Description"]) > 8 for row in hdus["EXT_DESCRIPT"].data)
    assert level2["ORDER_TABLE"].data["WAVE_START"].dtype.itemsize == 8
    for name in ("BJD_TDB", "WAVE_START", "WAVE_END"):
        assert level4["RV1"].data[name].dtype.itemsize == 8


def test_wavelengths_come_back_to_the_last_bit_and_light_in_single_precision(make):
    _, reduction, (level2, *_) = make()
    for i in range(2):
        wave, flux = level2[f"TRACE{i + 1}_WAVE"].data, level2[f"TRACE{i + 1}_FLUX"].data
        assert wave.dtype == np.float64
        assert wave.tobytes() == reduction.wavelengths.vacuum_angstrom[i].tobytes()
        np.testing.assert_array_equal(flux, reduction.spectra.flux[i].astype("f4"))
        np.testing.assert_array_equal(level2[f"TRACE{i + 1}_QUALITY"].data, reduction.spectra.quality[i])
    assert level2["TRACE1_WAVE"].header["CUNIT1"] == "Angstrom"
    assert level2["TRACE1_FLUX"].header["BUNIT"] == "electron"


def test_the_order_table_tells_where_each_order_begins_and_ends(make):
    _, reduction, (level2, *_) = make()
    table = level2["ORDER_TABLE"].data
    assert table["ECHELLE_ORDER"].tolist() == ORDERS.tolist()
    assert table["WAVE_START"][0] == reduction.wavelengths.vacuum_angstrom[0, 0, 100]
    assert table["WAVE_END"][1] == reduction.wavelengths.vacuum_angstrom[0, 1, -1]


def test_barycentric_parts_agree_with_each_other_and_each_star_keeps_its_own(make):
    _, _, files = make("51 Peg&thar&HD 10700")
    for level2, level4, trace, berv_kms, bjd in (
        (*files[0:3:2], "TRACE1", 12.3456, 2458579.6),
        (*files[3:6:2], "TRACE2", 12.3436, 2458581.6),
    ):
        assert level2["BARYCORR_KMS"].data[0] == pytest.approx(berv_kms, abs=1e-12)
        assert level2["BARYCORR_Z"].data[0] * LIGHT_MS == pytest.approx(1e3 * berv_kms, abs=1e-6)
        assert level2["BJD_TDB"].data[0] == level2[f"{trace}_FLUX"].header["BJDTDB"] == bjd
        assert level2[f"{trace}_FLUX"].header["BERV"] == pytest.approx(berv_kms, abs=1e-12)
        assert [hdu.name for hdu in level2 if "BERV" in hdu.header] == [f"{trace}_{part}" for part in _TIMED]
        assert level4["RV1"].header["RVSUM"] == pytest.approx(-33.2005, abs=1e-12)
        assert level4["RV1"].data["BERV"][0] == level4[0].header["BERV"] == pytest.approx(berv_kms, abs=1e-12)


def test_a_drift_to_higher_columns_lowers_the_wavelength_of_a_pixel(make):
    _, reduction, (level2, *_) = make()
    step = np.nanmean(np.gradient(reduction.wavelengths.vacuum_angstrom[0, 1]))
    assert level2["TRACE1_DRIFT"].data.shape == (N_ORDERS,)
    assert level2["TRACE1_DRIFT"].data[1] == pytest.approx(-0.5 * step, rel=1e-6)
    assert level2["TRACE1_DRIFT"].header["DRIFTV"] == -900.0


def test_the_header_names_what_lit_each_trace_and_which_masters_were_used(make):
    _, _, (level2, *_) = make("none&thar&51 Peg")
    header = level2[0].header
    assert (header["TRACE1"], header["CLSRC1"], header["FIBER1"]) == ("CAL", "ThAr", 1)
    assert (header["TRACE2"], header["CID2"], header["FIBER2"]) == ("SCI", "51 Peg", 2)
    assert (header["CRA2"], header["CDEC2"]) == ("22:57:27.9804", "+20:46:07.799")
    assert (header["CPMR2"], header["CRV2"], header["CSRC2"]) == (0.20725, -33.2, "Gaia DR3")
    assert header["TELEID1"] == "TELESCOPE_2"
    assert header["L1IDARC"] == "arc_lsc_nres01_fa09_20190405.fits.fz"
    entries = level2["DRP_CONFIG"].data["ENTRY"].tolist()
    assert "master_flat = flat_lsc_nres01_fa09_20190405.fits.fz" in entries


def test_steps_stand_in_the_receipt_in_their_order(make):
    steps = [("detector.correct", "bias dark"), ("extract.optimal", "")]
    _, _, (level2, *_) = make(steps=steps)
    assert list(zip(level2["RECEIPT"].data["FUNCTION"], level2["RECEIPT"].data["ARGS"])) == steps
    assert set(level2["RECEIPT"].data["TIME"]) == {"2019-04-06"}


def test_the_raw_header_is_carried_with_all_its_oddities(make):
    odd = {
        "NRESTEMP": "21.499532699584961",
        "SCHEDSEE": "NaN",
        "TRIGGER": "        ",
        "GROUPID": "daily arcs (Thorium Argon) with a name that is longer than a card of a FITS header can be, really",
        "CLKMODE": 0,
        "HISTORY": "one",
        "WMSDEWPT": 1.399999976158142,
    }
    raw, _, (level2, _, level4) = make(header=odd)
    for hdus in (level2, level4):
        carried = hdus["INSTRUMENT_HEADER"].header
        for keyword, (value, comment) in raw.header.items():
            if keyword in ("NRESTEMP", "SCHEDSEE", "GROUPID", "CLKMODE", "WMSDEWPT", "OBJECTS", "BIASSEC", "MJD-OBS"):
                assert carried[keyword] == value
                assert carried.comments[keyword] == comment
        assert carried["TRIGGER"].strip() == ""
        assert list(carried["HISTORY"]) == ["one"]
        assert "BZERO" not in carried


_KEYWORDS = st.one_of(
    st.sampled_from(["NAXIS1", "TFORM1", "CHECKSUM", "EXTNAME", "BSCALE", "ZIMAGE", "CONTINUE", "END", "HIERARCH"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=12),
)
_VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=90))


@settings(deadline=None, max_examples=150)
@given(st.dictionaries(_KEYWORDS, st.tuples(_VALUES, st.text(max_size=60)), max_size=5))
@pytest.mark.slow
def test_no_raw_header_is_too_odd_to_be_carried(cards):
    inputs = SimpleNamespace(raw=SimpleNamespace(header={"OBJECT": ("51 Peg", "name"), **cards}))
    buffer = io.BytesIO()
    hdus = fits.HDUList([fits.PrimaryHDU(), common_parts.instrument_header(inputs)])
    hdus.writeto(buffer, output_verify="exception")
    buffer.seek(0)
    with fits.open(buffer) as found:
        assert found["INSTRUMENT_HEADER"].header["OBJECT"] == "51 Peg"
        assert found["INSTRUMENT_HEADER"].data.tolist() == [0.0]


def test_the_same_input_gives_the_same_bytes_at_another_time_of_day(write_raw, tmp_path, monkeypatch):
    raw = raw_file.read(write_raw())
    reduction = reduction_of(raw)
    one = frame_products.write(raw, reduction, MASTERS, NRES01, tmp_path / "one")
    monkeypatch.setattr("time.time", lambda: 1.9e9)
    two = frame_products.write(raw, reduction, dict(reversed(MASTERS.items())), NRES01, tmp_path / "two")
    assert [path.read_bytes() for _, path in one] == [path.read_bytes() for _, path in two]
    names = [(level, f"lscnrs01-fa09-20190405-0021-e91-{level}.fits.fz") for level in ("L2", "L3", "L4")]
    assert [(level, path.name) for level, path in one] == names


def test_the_flags_of_velocities_reach_the_header_of_the_velocities_and_not_that_of_the_spectra(make):
    _, reduction, _ = make()
    flagged = tuple(replace(v, quality=v.quality | Quality.STAR_DISAGREES) for v in reduction.velocities)
    _, _, (level2, _, level4) = make(changes={"velocities": flagged})
    assert (level2[0].header["DRPFLAG"], level4[0].header["DRPFLAG"]) == ("Pass", "Fail")
    assert "DQLVL4" not in level2[0].header
    assert Quality.STAR_DISAGREES in Quality(level4[0].header["DQLVL4"])
    assert "star_disagrees" in level4[0].header["DQWORDS"]


def test_a_doubt_labels_the_products_and_hides_none(make):
    _, _, (level2, _, level4) = make(changes={"quality": Quality.NO_METER | Quality.POOR_WAVELENGTHS})
    for hdus in (level2, level4):
        header = hdus[0].header
        assert (header["DQLVL2"], header["DQWORDS"]) == (2052, "no_meter poor_wavelengths")
        assert (header["DRPFLAG"], header["SUMMFLAG"]) == ("Fail", "Fail")


def test_gain_and_read_noise_of_frames_header_and_table_stand_side_by_side(make):
    measured = {"gain_e_per_adu": 2.5, "gain_error": 0.01, "read_noise_adu": 3.0}
    _, _, files = make(changes={"measurements": measured}, header={"GAIN": 1.0, "RDNOISE": 7.3})
    for hdus in files:
        header = hdus[0].header
        assert [header[name] for name in ("GAINUSED", "GAINERR", "GAINHD", "GAINTAB")] == [2.5, 0.01, 1.0, 3.2]
        assert [header[name] for name in ("RDNADU", "RDNUSED", "RDNHD", "RDNTAB")] == [3.0, 7.5, 7.3, 7.0]
    _, _, files = make(header={"GAIN": "N/A", "RDNOISE": "N/A"})
    assert files[0][0].header["GAINHD"] is files[0][0].header["RDNHD"] is files[0][0].header["GAINUSED"] is None


def test_the_bits_of_the_quality_are_explained_beside_it(make):
    _, _, (level2, *_) = make()
    header = level2["TRACE1_QUALITY"].header
    assert [header[f"BIT{i}"] for i in range(8)] == [bit.name for bit in Pixel]


def test_a_star_without_coordinates_has_spectra_and_no_velocity(make):
    _, _, files = make(
        changes={"barycentric": {}, "stitched": {}, "velocities": (), "drift": False, "quality": Quality.NO_COORDINATES}
    )
    assert len(files) == 1
    header = files[0][0].header
    has(header, PRIMARY)
    assert header["CRA1"] == "UNKNOWN"
    assert header["CEPCH1"] is None
    assert np.isnan(files[0]["BJD_TDB"].data[0])
    assert "TRACE1_DRIFT" not in files[0]


def test_the_scatter_of_earlier_drifts_is_in_the_headers_where_it_stands_for_a_drift_and_nowhere_else(make):
    measurements = {"drift_ms": 0.0, "drift_lines": 0.0, "drift_scatter_ms": 218.5}
    _, _, without = make(changes={"drift": False, "measurements": measurements})
    assert [product[0].header["DRIFTSCT"] for product in without] == [218.5] * 3
    _, _, measured = make()
    assert not any("DRIFTSCT" in product[0].header for product in measured)


def test_the_exposure_meter_is_kept(make):
    raw, _, (level2, *_) = make()
    np.testing.assert_array_equal(level2["EXPMETER"].data["MJD_START"], raw.meter.start_mjd)
    np.testing.assert_array_equal(level2["EXPMETER"].data["FIB2COUNTS"], raw.meter.counts[:, 2])


def test_calibration_frames_have_no_products(write_raw, tmp_path):
    raw = raw_file.read(write_raw(OBSTYPE="LAMPFLAT", OBJECTS="tung&tung&none"))
    assert frame_products.write(raw, Reduction(spectra=spectra_of((0, 1))), {}, NRES01, tmp_path / "out") == []
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("proposal", "start", "public"),
    [
        ("NRES-2019A", "2019-04-06T02:24:00.000", "2020-04-06T02:24:00.000"),
        ("NRES-2019A", "2020-02-29T23:00:00.000", "2021-03-01T23:00:00.000"),
        ("calibrate", "2020-02-29T23:00:00.000", "2020-02-29T23:00:00.000"),
        ("Standards", "2019-04-06T02:24:00.000", "2019-04-06T02:24:00.000"),
        ("LCOEPO2018B-001", "2019-04-06T02:24:00.000", "2019-04-06T02:24:00.000"),
        ("LCOEngineering", "2019-04-06T02:24:00.000", "9999-01-01T00:00:00"),
    ],
)
def test_data_become_public_a_year_later_unless_they_are_calibrations(proposal, start, public):
    assert public_date(proposal, start) == public


@pytest.mark.parametrize(
    ("angle", "hours", "words"),
    [
        (344.366585, True, "22:57:27.9804"),
        (359.9999999999, True, "00:00:00.0000"),
        (-0.5, False, "-00:30:00.000"),
        (89.9999999999, False, "+90:00:00.000"),
        (None, False, "UNKNOWN"),
    ],
)
def test_angles_are_written_without_sixty_seconds(angle, hours, words):
    assert sexagesimal(angle, hours) == words


def test_a_date_is_written_to_the_millisecond():
    assert iso(58578.5392471) == "2019-04-05T12:56:30.949"


@pytest.mark.parametrize("fiber", [0, 2])
def test_the_spectrum_of_a_star_is_read_back_with_its_motion(make, fiber):
    _, reduction, files = make("51 Peg&thar&HD 10700")
    observed = star_spectra_reader.read(files[fiber * 3 // 2].filename(), fiber)
    flux, _, quality, _ = reduction.spectra.of(fiber)
    np.testing.assert_array_equal(observed.spectra.flux[0], flux.astype(np.float32))
    np.testing.assert_array_equal(observed.spectra.quality[0], quality)
    angstrom = reduction.wavelengths.vacuum_angstrom[reduction.wavelengths.fibers.index(fiber)]
    np.testing.assert_array_equal(observed.wavelengths.vacuum_angstrom[0], angstrom)
    assert observed.berv_ms == pytest.approx(reduction.barycentric[fiber].berv_ms)
    assert observed.midpoint_mjd == pytest.approx(reduction.barycentric[fiber].midpoint_mjd)


def test_a_fiber_without_a_star_is_refused(make):
    *_, (level2, *_) = make()
    with pytest.raises(BadFrame, match="no spectrum of fiber 1 with a barycentric correction"):
        star_spectra_reader.read(level2.filename(), 1)


def test_spectra_are_read_back_as_they_were_written(make):
    _, reduction, (level2, *_) = make()
    found = product_reader.read(level2.filename())
    assert found.quality == reduction.quality
    assert found.barycentric.keys() == reduction.barycentric.keys()
    np.testing.assert_array_equal(found.spectra.rejected, [[3, 4], [2000, 4095]])
    np.testing.assert_array_equal(found.spectra.lamp_e_per_s, reduction.spectra.lamp_e_per_s)
    for name in ("orders", "flux", "variance", "quality", "blaze"):
        np.testing.assert_allclose(getattr(found.spectra, name), getattr(reduction.spectra, name), rtol=1e-6)
    np.testing.assert_array_equal(found.wavelengths.vacuum_angstrom, reduction.wavelengths.vacuum_angstrom)
    for name in ("shift_px", "stretch_error_px", "velocity_ms", "n_lines"):
        assert getattr(found.wavelengths.drift, name) == getattr(reduction.wavelengths.drift, name)


def test_velocities_are_read_back_as_they_were_written(make):
    _, reduction, (_, _, *level4) = make("51 Peg&thar&HD 10700")
    read = [product_reader.read(hdus.filename()) for hdus in level4[::3]]
    assert read[0].measurements == pytest.approx(reduction.measurements)
    for (one,), other in zip((found.velocities for found in read), reduction.velocities, strict=True):
        assert (one.fiber, one.star.name, one.mask, one.quality) == (other.fiber, other.star.name, "G2", other.quality)
        for name in ("rv_ms", "error_ms", "mask_error_ms", "fwhm_ms", "contrast", "bisector_ms", "snr"):
            assert getattr(one, name) == pytest.approx(getattr(other, name)), name
        assert one.barycentric.berv_ms == pytest.approx(other.barycentric.berv_ms)
        np.testing.assert_allclose(one.by_order.rv_ms, other.by_order.rv_ms)
        np.testing.assert_allclose(one.grid_ms, other.grid_ms)
        np.testing.assert_array_equal(one.ccf, other.ccf)


def test_a_raw_frame_is_not_read_as_a_product(write_raw):
    with pytest.raises(BadFrame, match="DATALVL is None; expected L2 or L4"):
        product_reader.read(write_raw())
