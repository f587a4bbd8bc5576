import os
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nrespipe.errors import BadFrame, Skipped, Unavailable
from nrespipe.files.raw import card_values, raw_file
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind, Section

REALDATA = Path(os.environ.get("NRESPIPE_REALDATA", Path(__file__).parents[3] / "../shared/realdata"))


@pytest.mark.parametrize("packed", [True, False])
def test_the_pixels_of_a_frame_arrive_unchanged(write_raw, raw, packed):
    frame = raw_file.read(write_raw(packed=packed))
    np.testing.assert_array_equal(frame.adu, raw.pixels())
    assert frame.adu.dtype == np.float32
    assert not frame.adu.flags.writeable


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("rows", [slice(0, 66), slice(10, 23), slice(60, 66), slice(5, 40, 7)])
def test_pixels_left_in_the_file_are_those_of_the_whole_image(write_raw, raw, packed, rows):
    frame = raw_file.read(write_raw(packed=packed), whole=False)
    assert frame.adu.shape == (66, 100)
    part = frame.adu[rows, slice(3, 90)]
    np.testing.assert_array_equal(part, raw.pixels()[rows, 3:90])
    assert part.dtype == np.float32
    np.testing.assert_array_equal(np.asarray(frame.adu), raw.pixels())


def test_pixels_left_in_a_file_that_is_cut_or_changed_meanwhile_are_bad(write_raw, raw):
    path = write_raw(packed=True)
    frame = raw_file.read(path, whole=False)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 4])
    with pytest.raises(BadFrame):
        frame.adu[0:66, 0:100]
    write_raw(image=raw.pixels((40, 100)), packed=True)
    with pytest.raises(BadFrame, match="changed its size"):
        frame.adu[0:66, 0:100]


def test_what_the_header_says_arrives_in_the_units_of_the_house(write_raw):
    frame = raw_file.read(write_raw())
    assert (frame.filename, frame.kind) == ("lscnrs01-fa09-20190405-0021-e00", Kind.SCIENCE)
    assert (frame.site, frame.instrument, frame.camera, frame.day) == ("lsc", "nres01", "fa09", "20190405")
    assert (frame.start_mjd, frame.exposure_s) == (58579.1, 600.0)
    assert frame.objects == ("51 Peg", "thar", "none")
    assert frame.star_fibers == (0,)
    assert (frame.bias_section, frame.data_section) == (Section(86, 100, 0, 64), Section(0, 80, 0, 64))
    assert (frame.header_gain_e_per_adu, frame.header_read_noise_e) == (1.0, 7.3)
    assert (frame.saturation_adu, frame.max_linear_adu) == (47500.0, 40000.0)
    assert (frame.pressure_psi, frame.temperature_c) == (12.347456, 21.499532699584961)
    assert frame.readout_mode == "lco2_500kHz_1amp_DRH_B"


def test_a_telescope_arrives_in_degrees_and_milliarcseconds_and_an_absent_one_is_none(write_raw):
    telescope, absent = raw_file.read(write_raw()).telescopes
    assert absent is None
    assert (telescope.longitude_deg, telescope.latitude_deg, telescope.height_m) == (-70.8046611, -30.1673306, 2201.0)
    assert telescope.ra_deg == pytest.approx(15 * (22 + 57 / 60 + 27.98 / 3600), abs=1e-9)
    assert telescope.catalog_dec_deg == pytest.approx(20 + 46 / 60 + 7.8 / 3600, abs=1e-9)
    assert (telescope.pm_ra_mas_yr, telescope.pm_dec_mas_yr, telescope.parallax_mas) == (222.0, 61.0, None)
    assert telescope.object_name == "51 Peg"


def test_a_frame_without_tables_and_telescopes_is_read_all_the_same(write_raw):
    frame = raw_file.read(write_raw(others=[]))
    assert frame.meter is None
    assert frame.telescopes == (None, None)


@pytest.mark.parametrize("name", ["JD_START", "JD_UTC"])
def test_every_julian_time_column_of_the_meter_gives_the_same_times(write_raw, raw, name):
    meter = raw_file.read(write_raw(others=[raw.meter_hdu(name)])).meter
    np.testing.assert_allclose(meter.start_mjd, 58579.1 + np.arange(10) / 1440, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(meter.counts[0], [0, 100, 200])


def test_a_meter_that_counts_in_modified_days_or_dates_gives_the_same_times(write_raw, raw):
    mjd = 58579.1 + np.arange(10) / 1440
    dates = [f"2019-04-06T02:{24 + i}:00.000000" for i in range(10)]
    by_mjd = raw_file.read(write_raw(others=[raw.meter_hdu("MJD_START", mjd)])).meter
    by_date = raw_file.read(write_raw(others=[raw.meter_hdu("UT_START", dates)])).meter
    np.testing.assert_allclose(by_mjd.start_mjd, mjd, rtol=0, atol=1e-9)
    np.testing.assert_allclose(by_date.start_mjd, mjd, rtol=0, atol=1e-9)


def test_a_meter_with_wild_times_gives_none(write_raw, raw):
    assert raw_file.read(write_raw(others=[raw.meter_hdu("JD_START", np.full(10, np.nan))])).meter is None


def test_an_image_without_a_name_is_found(write_raw):
    assert raw_file.read(write_raw(EXTNAME=None)).adu.shape == (66, 100)


def test_the_spectrum_is_found_by_name_behind_another_image(tmp_path, raw):
    parts = [fits.PrimaryHDU(np.zeros((5, 5), "i2")), fits.ImageHDU(raw.pixels(), raw.header())]
    path = tmp_path / f"{raw.name}.fits"
    fits.HDUList(parts).writeto(path)
    assert raw_file.read(path).adu.shape == (66, 100)


def test_data_that_are_not_those_of_their_checksum_are_read_and_flagged(write_raw):
    assert raw_file.read(write_raw(CHECKSUM="XWACXT2CXT8CXT8C")).quality == Quality(0)
    path = write_raw(packed=False, CHECKSUM="XWACXT2CXT8CXT8C", DATASUM="2524588644")
    frame = raw_file.read(path)
    assert frame.adu.shape == (66, 100)
    assert frame.quality == Quality.CHANGED_FILE
    with fits.open(path, mode="update", checksum=True) as hdus:
        hdus[0].add_checksum()
    assert raw_file.read(path).quality == Quality(0)
    content = bytearray(path.read_bytes())
    content[2880 * 2 + 100] ^= 1
    path.write_bytes(content)
    assert raw_file.read(path).quality == Quality.CHANGED_FILE


@pytest.mark.parametrize("packed", [True, False])
def test_names_in_utf_8_stay_different(write_raw, packed):
    names = {}
    for letter in ("β", "α"):
        path = write_raw(packed=packed, OBJECTS="@@ Pic&thar&none")
        path.write_bytes(path.read_bytes().replace(b"@@ Pic", f"{letter} Pic".encode(), 1))
        names[letter] = raw_file.read(path).objects[0]
        assert raw_file.read_identity(path).objects[0] == names[letter]
    assert names == {"β": "β Pic", "α": "α Pic"}


@pytest.mark.parametrize(
    ("claim", "flag"),
    [("[200:220,1:64]", True), ("[87:104,1:64]", True), ("[87:100,1:99]", True), ("nonsense", True), ("UNKNOWN", False),
     (None, False), ("[87:100,1:64]", False)],
)  # fmt: skip
def test_an_overscan_section_outside_the_image_is_flagged(write_raw, claim, flag):
    assert (Quality.HEADER_DISAGREES in raw_file.read(write_raw(BIASSEC=claim)).quality) == flag


def test_a_transposed_image_is_refused(write_raw, raw):
    turned = np.ascontiguousarray(raw.pixels().T)
    with pytest.raises(BadFrame, match="transposed: 66 x 100 pixels, DETSIZE is 100 x 66"):
        raw_file.read(write_raw(image=turned, DATASEC="[1:50,1:64]"))


@pytest.mark.parametrize("words", ["N/A", "NaN", "UNKNOWN", "", "  "])
def test_a_claim_that_says_nothing_is_none(write_raw, words):
    frame = raw_file.read(write_raw(GAIN=words, RDNOISE=words, SATURATE=words, NRESPRES=words, CONFMODE=words))
    assert frame.header_gain_e_per_adu is None
    assert frame.header_read_noise_e is None
    assert frame.saturation_adu is None
    assert frame.pressure_psi is None
    assert frame.readout_mode == ""


@pytest.mark.parametrize(
    ("claim", "first", "end"),
    [("[87:104,1:64]", 86, 100), ("UNKNOWN", 86, 100), (None, 86, 100), ("[200:220,1:64]", 86, 100)],
)
def test_an_overscan_section_outside_the_image_is_cut_or_replaced(write_raw, claim, first, end):
    section = raw_file.read(write_raw(BIASSEC=claim)).bias_section
    assert (section.first_column, section.end_column) == (first, end)


@pytest.mark.parametrize(
    ("obstype", "code", "objects", "kind"),
    [
        ("BIAS", "b00", "none&none&none", Kind.BIAS),
        ("DARK", "d00", None, Kind.DARK),
        ("LAMPFLAT", "w00", "tung&tung&none", Kind.FLAT),
        ("FLAT", "w00", "none&TUNG&tung", Kind.FLAT),
        ("DOUBLE", "a00", "none&thar&thar", Kind.ARC),
        ("ARC", "a00", "ThAr&ThAr", Kind.ARC),
        ("fibers", "a00", "none&thar&thar", Kind.ARC),
        ("TARGET", "e00", "none&thar&HD 10700", Kind.SCIENCE),
        ("SPECTRUM", "e00", "HD49933_templ&thar&51 Peg", Kind.SCIENCE),
    ],
)
def test_the_kind_of_a_frame_follows_from_its_header_or_else_its_name(write_raw, raw, obstype, code, objects, kind):
    exposure = 0.0 if kind is Kind.BIAS else 60.0
    path = write_raw(name=raw.name[:-3] + code, OBSTYPE=obstype, OBJECTS=objects, EXPTIME=exposure)
    assert raw_file.read(path).kind is kind
    assert raw_file.read_identity(path).kind is kind


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, ("lsc", "nres01", "fa09")),
        ({"SITEID": "cpt"}, ("lsc", "nres01", "fa09")),
        ({"TELESCOP": "nres03"}, ("lsc", "nres01", "fa09")),
        ({"INSTRUME": "fa13"}, ("lsc", "nres01", "fa13")),
        ({"OBSTYPE": "EXPERIMENTAL"}, ("lsc", "nres01", "fa09")),
        ({"OBSTYPE": "DARK"}, ("lsc", "nres01", "fa09")),
    ],
)
def test_a_header_that_contradicts_the_file_name_is_flagged_and_the_table_decides_the_site(write_raw, changes, told):
    frame = raw_file.read(write_raw(**changes))
    assert (frame.site, frame.instrument, frame.camera) == told
    assert frame.quality == (Quality.NAME_DISAGREES if changes else Quality(0))
    assert raw_file.read_identity(write_raw(**changes)).quality == frame.quality


@pytest.mark.parametrize(
    ("value", "ra_deg", "dec_deg"),
    [
        ("11:45:60.000", 176.5, 11 + 46 / 60), ("11h45m31s", 176.3791667, None), ("11 45 31.5", 176.38125, None),
        ("-00:30:00", None, -0.5), ("-0 0 1.0", None, -1 / 3600), ("176:22:30", 176.375, None), ("24:00:00", 0.0, 24.0),
        ("-40d30m01.3s", None, -40.5003611), ("−12:30:00", None, -12.5), ("11:45:61", None, None),
        ("12:61:00", None, None),
    ],
)  # fmt: skip
def test_coordinates_are_read_as_headers_write_them(value, ra_deg, dec_deg):
    assert card_values.right_ascension_deg(value) == (ra_deg if ra_deg is None else pytest.approx(ra_deg))
    if dec_deg is not None:
        assert card_values.declination_deg(value) == pytest.approx(dec_deg)


@given(st.floats(0, 359.9999), st.floats(-89.9999, 89.9999), st.sampled_from([":: ", "hms", "   "]), st.integers(0, 4))
def test_every_position_survives_being_written_in_the_base_of_sixty(ra_deg, dec_deg, marks, digits):
    def written(angle, sign):
        units = round(abs(angle) * 3600 * 10**digits)
        whole, part = divmod(units, 3600 * 10**digits)
        minutes, seconds = divmod(part, 60 * 10**digits)
        return f"{sign}{whole}{marks[0]}{minutes}{marks[1]}{seconds / 10**digits:.{digits}f}{marks[2].strip()}"

    tolerance = 15.1 / 3600 / 10**digits
    found = card_values.right_ascension_deg(written(ra_deg / 15, ""))
    assert abs((found - ra_deg + 180) % 360 - 180) < tolerance
    declination = written(dec_deg, "-" if dec_deg < 0 else "+").replace("h", "d")
    assert card_values.declination_deg(declination) == pytest.approx(dec_deg, abs=tolerance)


@pytest.mark.parametrize(
    ("words", "longitude_deg"),
    [("-70.8", -70.8), (289.2, -70.8), ("70.8 W", -70.8), ("20.8E", 20.8), ("-70:48:00", -70.8), ("400", None)],
)
def test_longitudes_are_east_of_greenwich_however_they_are_counted(words, longitude_deg):
    found = card_values.longitude_east_deg(words)
    assert found == (longitude_deg if longitude_deg is None else pytest.approx(longitude_deg))


def test_positions_of_older_systems_become_icrs(write_raw, raw):
    def at(**cards):
        others = [raw.meter_hdu(), raw.telescope_hdu(1, RA="00:00:00", DEC="00:00:00", **cards)]
        return raw_file.read(write_raw(others=others)).telescopes[0]

    # precession of a century moves a star on the equator by 1.28 degrees in right ascension and 0.56 in declination
    assert at(RADESYS="FK4", EQUINOX=1950.0).ra_deg == pytest.approx(0.6407, abs=1e-3)
    assert at(RADESYS="FK5", EQUINOX=2019.5).dec_deg == pytest.approx(-0.1086, abs=1e-3)
    assert at(RADESYS="ICRS", EQUINOX=1950.0).ra_deg == at(RADESYS="FK5", EQUINOX=2000.0).ra_deg == 0.0
    assert at().catalog_epoch_year is None
    assert at(CAT_EPOC="J2015.5").catalog_epoch_year == 2015.5


def test_bias_and_dark_have_no_objects(write_raw):
    assert raw_file.read(write_raw(OBSTYPE="DARK", OBJECTS="none&none&none")).objects == ()


def test_identify_and_read_agree(write_raw):
    path = write_raw()
    frame, identity = raw_file.read(path), raw_file.read_identity(path)
    assert {name: getattr(frame, name) for name in vars(identity)} == vars(identity)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("lscnrs01-fa09-20190405-0021-g00.fits.fz", "guider"),
        ("lscnrs01-fa09-20190405-0021-x00.fits.fz", "experimental"),
        ("lscnrs01-fa09-20190405-0021-e91.fits.fz", "already reduced"),
        ("lscnrs01-fa09-20190405-0021-e91-L2.fits.fz", "ends in 00"),
        ("targets.csv", "not the name of a FITS file"),
    ],
)
def test_a_file_that_is_not_ours_by_its_name_is_skipped_before_it_is_opened(tmp_path, name, reason):
    with pytest.raises(Skipped, match=reason):
        raw_file.read(tmp_path / name)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"TELESCOP": "1m0-12"}, "telescope '1m0-12'"),
        ({"RLEVEL": 91}, "already reduced"),
        ({"RLEVEL": "raw?"}, "already reduced"),
    ],
)
def test_a_file_that_is_not_ours_by_its_header_is_skipped(write_raw, changes, reason):
    with pytest.raises(Skipped, match=reason):
        raw_file.read(write_raw(**changes))


@pytest.mark.parametrize("level", [0, "0", "00", "", "N/A", None])
def test_a_raw_level_in_any_spelling_is_raw(write_raw, level):
    assert raw_file.read(write_raw(RLEVEL=level)).filename.endswith("e00")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"OBSTYPE": "fibers", "name": "some00"}, "OBSTYPE"),
        ({"OBSTYPE": None, "name": "some00"}, "OBSTYPE is None"),
        ({"TELESCOP": "nres"}, "TELESCOP"),
        ({"SITEID": "somewhere"}, "SITEID"),
        ({"INSTRUME": "camera"}, "INSTRUME"),
        ({"OBJECTS": None}, "OBJECTS"),
        ({"OBJECTS": "none&none&none"}, "no fiber sees a star"),
        ({"OBJECTS": "tung&thar&none"}, "no fiber sees a star"),
        ({"OBJECTS": "51 Peg"}, "what three fibers see"),
        ({"OBJECTS": "a&b&c&d"}, "what three fibers see"),
        ({"OBJECTS": "51 Peg&thar&none", "OBSTYPE": "LAMPFLAT"}, "no flat"),
        ({"OBJECTS": "tung&tung&none", "OBSTYPE": "DOUBLE"}, "no arc"),
        ({"MJD-OBS": None, "DATE-OBS": None}, "MJD-OBS is None"),
        ({"MJD-OBS": "N/A", "DATE-OBS": "N/A"}, "MJD-OBS is 'N/A'"),
        ({"MJD-OBS": 0.0, "DATE-OBS": "0000-00-00T00:00:00"}, "MJD-OBS is 0.0"),
        ({"MJD-OBS": 58600.0, "DATE-OBS": None}, "does not fall into the night"),
        ({"DAY-OBS": "20191345", "name": "some00"}, "DAY-OBS is '20191345', which is no date"),
        ({"EXPTIME": None}, "EXPTIME is None"),
        ({"EXPTIME": -5.0}, "EXPTIME is -5.0"),
        ({"EXPTIME": "NaN"}, "EXPTIME is 'NaN'"),
        ({"EXPTIME": 600.0, "OBSTYPE": "BIAS"}, "which no bias has"),
        ({"DATASEC": "UNKNOWN", "TRIMSEC": None}, "neither DATASEC nor TRIMSEC"),
        ({"DATASEC": "[1:4096,1:4096]"}, "100 x 66 pixels, DATASEC is 4096 x 4096"),
        ({"DATASEC": "[1:96,1:64]", "BIASSEC": "UNKNOWN"}, "no overscan"),
    ],
)
def test_a_header_that_says_too_little_or_nonsense_is_named(write_raw, changes, reason):
    changes = {keyword.replace("-", "_"): value for keyword, value in changes.items()}
    with pytest.raises(BadFrame, match=reason):
        raw_file.read(write_raw(**changes))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda image: np.zeros_like(image), "every pixel has the value 0"),
        (lambda image: np.full_like(image, 65535), "every pixel has the value 65535"),
        (lambda image: np.where(np.arange(66)[:, None] < 40, image, 0).astype("u2"), "24 of 64 rows hold a single"),
        (lambda image: image[:50], "100 x 50 pixels, DATASEC is 80 x 64"),
        (lambda image: np.where(image == image[3, 3], np.nan, image).astype("f4"), "not numbers"),
        (lambda image: np.stack([image, image]), "its image has the axes"),
    ],
)
def test_an_image_that_holds_no_exposure_is_named(write_raw, raw, spoil, reason):
    with pytest.raises(BadFrame, match=reason):
        raw_file.read(write_raw(image=spoil(raw.pixels()), packed=False))


def test_a_file_without_an_image_is_named(tmp_path, raw):
    path = tmp_path / f"{raw.name}.fits"
    fits.PrimaryHDU(header=raw.header()).writeto(path)
    with pytest.raises(BadFrame, match=r"e00\.fits: no image in it"):
        raw_file.read(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"\n<!DOCTYPE html><html>404</html>", "not a FITS file but a web page"),
        (b"\0" * 5760, "begins with empty bytes"),
        (b"PK\x03\x04", "not a FITS file"),
        (b"SIMPLE  =                    T".ljust(2880), "damaged FITS file"),
    ],
)
def test_content_that_is_not_fits_is_named(tmp_path, raw, content, reason):
    path = tmp_path / f"{raw.name}.fits.fz"
    path.write_bytes(content)
    with pytest.raises(BadFrame, match=reason):
        raw_file.read(path)


@pytest.mark.parametrize("packed", [True, False])
def test_a_truncated_file_is_bad_wherever_it_was_cut(write_raw, packed):
    path = write_raw(packed=packed)
    content = path.read_bytes()
    for end in range(1000, len(content) - 2880, 2880):
        path.write_bytes(content[:end])
        with pytest.raises(BadFrame, match=path.name):
            raw_file.read(path)


def test_damaged_tiles_never_pass_for_an_exposure_nor_raise_another_error(write_raw):
    path = write_raw()
    content = bytearray(path.read_bytes())
    start = content.find(b"END" + b" " * 77, 2880) // 2880 * 2880 + 2880
    content[start : start + 66 * 8] = b"\xff" * (66 * 8)
    path.write_bytes(content)
    with pytest.raises(BadFrame, match="damaged FITS file"):
        raw_file.read(path)


def test_a_file_that_the_disk_does_not_give_is_unavailable_and_what_is_no_file_is_bad(tmp_path, raw):
    with pytest.raises(Unavailable, match="No such file"):
        raw_file.read(tmp_path / f"{raw.name}.fits.fz")
    (tmp_path / f"{raw.name}.fits").mkdir()
    with pytest.raises(BadFrame, match="not a file but a directory"):
        raw_file.read_identity(tmp_path / f"{raw.name}.fits")


def test_reading_changes_nothing_and_leaves_nothing_open(write_raw):
    path = write_raw()
    before, open_before = path.read_bytes(), len(os.listdir("/proc/self/fd"))
    path.chmod(0o400)
    raw_file.read(path)
    raw_file.read_identity(path)
    assert path.read_bytes() == before
    assert len(os.listdir("/proc/self/fd")) == open_before


def test_a_card_that_breaks_the_standard_is_carried_as_it_stands(write_raw):
    path = write_raw(packed=False, GROUPID="daily arcs")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"GROUPID = 'daily arcs'", b"GROUPID = 'daily arcs "))
    frame = raw_file.read(path)
    assert frame.header["GROUPID"][0] == "'daily arcs"
    assert frame.header["OBJECT"][0] == "51 Peg"


@pytest.mark.parametrize("name", ["coj1m011-fl08-20151216-0049-b00", "cpt1m012-fl10-20151216-0073-e00"])
def test_a_real_frame_of_another_camera_is_skipped_with_its_telescope(name):
    path = REALDATA / f"{name}.fits.fz"
    if not path.exists():
        pytest.skip("the real frames are not here: set NRESPIPE_REALDATA")
    with pytest.raises(Skipped, match="of telescope '1m0-"):
        raw_file.read(path)


_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**12), 10**12),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "N/A", "NaN", "UNKNOWN", "nres01", "[1:10,1:10]", "[0:0,5:1]", "thar&thar&none", "1e999"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60),
)
_KEYWORDS = """SITEID TELESCOP OBSTYPE RLEVEL DAY-OBS MJD-OBS EXPTIME INSTRUME CCDSUM GAIN BIASSEC DATASEC TRIMSEC
OBJECTS"""


def read_or_reason(path):
    """Return the frame, or None and the words of the error if it is one that the service knows."""
    try:
        return raw_file.read(path), ""
    except (Skipped, BadFrame) as error:
        return None, str(error)


@pytest.fixture(scope="module")
def fuzzed(raw, tmp_path_factory):
    directory = tmp_path_factory.mktemp("fuzzed")
    return lambda **changes: raw.write(directory, packed=False, **changes)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(_KEYWORDS.split()), _values, max_size=4))
@pytest.mark.slow
def test_no_header_raises_anything_but_the_four_errors(fuzzed, changes):
    path = fuzzed(**{keyword.replace("-", "_"): value for keyword, value in changes.items()})
    frame, reason = read_or_reason(path)
    if frame is None:
        assert path.name in reason
    else:
        assert frame.star_fibers or frame.kind is not Kind.SCIENCE


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=80))
@pytest.mark.slow
def test_no_scrambled_bytes_raise_anything_but_the_four_errors(fuzzed, raw, place, scramble):
    path = fuzzed()
    content = bytearray(path.read_bytes())
    place %= len(content)
    content[place : place + len(scramble)] = scramble
    path.write_bytes(content)
    frame, reason = read_or_reason(path)
    if frame is None:
        assert path.name in reason
    else:
        assert frame.data_section.end_column <= frame.adu.shape[1]
