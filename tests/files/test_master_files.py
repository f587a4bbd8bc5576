from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest
from astropy.io import fits

from nrespipe.errors import MissingCalibration, Unavailable
from nrespipe.files import layout, master_files
from nrespipe.frames.masters import Arc, Bias, Dark, Flat, Origin
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind
from nrespipe.frames.spectra import Spectra
from nrespipe.frames.traces import Profile, Slant, Traces
from nrespipe.frames.wavelength import ArcLines, LineShape, Solution

N_FIBERS, N_ORDERS, N_PIXELS = SHAPE = 2, 5, 4096
ONE = (1, N_ORDERS, N_PIXELS)
RNG = np.random.default_rng(5)


def origin(kind):
    inputs = tuple(f"lscnrs01-fa09-20190405-{i:04d}-{kind[0]}00" for i in range(7))
    quality = Quality.FEW_CALIBRATIONS | Quality.NO_METER
    return Origin(kind, "lsc", "nres01", "fa09", "20190405", 58579.123456789012, inputs, quality)


def noise(*shape, dtype="f8", scale=1.0):
    return RNG.normal(0, scale, shape).astype(dtype)


def a_bias():
    return Bias(origin(Kind.BIAS), noise(200, 300, dtype="f4"), noise(200, 300, dtype="f4") ** 2, 2.3456789012345678)


def a_dark():
    mask = (RNG.random((200, 300)) > 0.99).astype(np.uint8)
    return Dark(origin(Kind.DARK), noise(200, 300, dtype="f4"), np.ones((200, 300), "f4"), mask)


def a_flat():
    centers = noise(*SHAPE)
    centers[0, 2, 100:300] = np.nan
    values, response = noise(*SHAPE[:2], 12, 65, dtype="f4"), noise(200, N_PIXELS, dtype="f4")
    profile = Profile(
        np.linspace(-8, 8, 65), np.arange(12.0), values, np.arange(8.0), noise(2, 8), response, response / 100
    )
    traces = Traces((0, 2), np.arange(52, 52 + N_ORDERS), centers, abs(noise(*SHAPE, dtype="f4")))
    return Flat(
        origin(Kind.FLAT),
        traces,
        profile,
        abs(noise(*SHAPE)),
        3.2,
        1 / 3,
        np.zeros((200, N_PIXELS), np.uint8),
        abs(noise(*SHAPE[:2])),
    )


def an_arc():
    orders = np.arange(52, 52 + N_ORDERS)
    degrees = np.array([(i, j) for i in range(3) for j in range(3)])
    found = noise(N_FIBERS, 9), noise(N_FIBERS, 9, 9), noise(N_FIBERS), np.array([900, 1100])
    solution = Solution((0, 1), orders, N_PIXELS, degrees, *found)
    n = 300
    lines = ArcLines(
        *(RNG.integers(0, 3, n), RNG.integers(52, 119, n), noise(n), noise(n), noise(n), noise(n)),
        np.where(np.arange(n) % 3, noise(n), np.nan),
        np.arange(n) % 2 == 0,
    )
    shape = LineShape((0, 1), orders, noise(*SHAPE), np.linspace(-3, 3, 61), np.arange(4.0), noise(N_FIBERS, 4, 61))
    quality = RNG.integers(0, 255, ONE).astype(np.uint8)
    reference = Spectra((1,), orders, noise(*ONE), noise(*ONE, dtype="f4"), quality, noise(*ONE))
    slant = Slant((0, 1), (52, 118), N_PIXELS, degrees, noise(N_FIBERS, 9), noise(N_FIBERS, 9))
    return Arc(
        origin(Kind.ARC), solution, lines, shape, slant, reference, np.array([1.5, np.nan]), np.array([600.0, 1200.0])
    )


def assert_same(one, other, where=""):
    assert type(one) is type(other), where
    if is_dataclass(one):
        for field in fields(one):
            assert_same(getattr(one, field.name), getattr(other, field.name), f"{where}.{field.name}")
    elif isinstance(one, np.ndarray):
        assert one.dtype == other.dtype, where
        assert one.dtype.isnative
        assert one.shape == other.shape, where
        assert one.tobytes() == other.tobytes(), where
    else:
        assert one == other, where


MASTERS = [a_bias, a_dark, a_flat, an_arc]


@pytest.mark.parametrize("make", MASTERS)
def test_a_master_comes_back_to_the_last_bit(tmp_path, make):
    master = make()
    path = layout.master_path(tmp_path, master.origin)
    master_files.write(master, path)
    assert_same(master_files.read(path), master)


def test_what_frames_and_headers_say_of_the_camera_comes_back_and_stands_in_the_header(tmp_path):
    flat = replace(a_flat(), night_gain_e_per_adu=3.1, night_gain_error=0.02, header_gain_e_per_adu=1.0)
    bias = replace(a_bias(), header_read_noise_adu=7.3)
    cards = {}
    for master in (flat, bias, a_flat(), a_bias()):
        master_files.write(master, tmp_path / "master.fits.fz")
        assert_same(master_files.read(tmp_path / "master.fits.fz"), master)
        cards.setdefault(master.origin.kind, []).append(fits.getheader(tmp_path / "master.fits.fz"))
    names = ("GAINUSED", "GAINERR", "GAINNGT", "GAINNGTE", "GAINHD")
    assert [cards[Kind.FLAT][0][name] for name in names] == [3.2, 1 / 3, 3.1, 0.02, 1.0]
    assert [cards[Kind.BIAS][0][name] for name in ("RDNADU", "RDNADUHD")] == [2.3456789012345678, 7.3]
    assert not {"GAINNGT", "GAINNGTE", "GAINHD"} & set(cards[Kind.FLAT][1])
    assert "RDNADUHD" not in cards[Kind.BIAS][1]


@pytest.mark.parametrize("make", MASTERS)
def test_the_same_master_gives_the_same_bytes_at_another_time_of_day(tmp_path, make, monkeypatch):
    master = make()
    master_files.write(master, tmp_path / "one.fits.fz")
    monkeypatch.setattr("time.time", lambda: 1.9e9)
    master_files.write(master, tmp_path / "two.fits.fz")
    assert (tmp_path / "one.fits.fz").read_bytes() == (tmp_path / "two.fits.fz").read_bytes()


@pytest.mark.parametrize("make", MASTERS)
def test_every_unit_of_the_table_stands_in_the_file(tmp_path, make):
    from astropy.io import fits

    master = make()
    master_files.write(master, tmp_path / "master.fits.fz")
    with fits.open(tmp_path / "master.fits.fz") as hdus:
        found = {hdu.header["BUNIT"] for hdu in hdus if "BUNIT" in hdu.header}
        found |= {unit for hdu in hdus if hasattr(hdu, "columns") for unit in hdu.columns.units if unit}
    assert found == set(master_files.UNITS[master.origin.kind].values())


def test_the_inputs_and_the_name_stand_in_the_header(tmp_path):
    from astropy.io import fits

    master = a_bias()
    path = layout.master_path(tmp_path, master.origin)
    master_files.write(master, path)
    header = fits.getheader(path)
    assert header["OUTNAME"] == path.name == "bias_lsc_nres01_fa09_20190405.fits.fz"
    assert header["IMCOM001"] == "lscnrs01-fa09-20190405-0000-b00"
    assert header["QUALWORD"] == "few_calibrations no_meter"


def test_a_master_of_no_inputs_and_no_lines_comes_back(tmp_path):
    arc = an_arc()
    none = ArcLines(*(getattr(arc.lines, field.name)[:0] for field in fields(ArcLines)))
    arc = replace(arc, lines=none, origin=replace(arc.origin, inputs=(), quality=Quality(0)))
    master_files.write(arc, tmp_path / "arc.fits.fz")
    assert_same(master_files.read(tmp_path / "arc.fits.fz"), arc)


def test_nothing_but_the_master_remains_in_its_directory(tmp_path):
    master_files.write(a_dark(), tmp_path / "masters" / "dark.fits.fz")
    assert [path.name for path in (tmp_path / "masters").iterdir()] == ["dark.fits.fz"]


def test_a_master_that_is_gone_or_cut_is_missing(tmp_path):
    path = tmp_path / "bias.fits.fz"
    with pytest.raises(MissingCalibration, match=r"bias\.fits\.fz: the master is not where"):
        master_files.read(path)
    master_files.write(a_bias(), path)
    content = path.read_bytes()
    for end in (0, 100, 2880, len(content) // 2, len(content) - 2880):
        path.write_bytes(content[:end])
        with pytest.raises(MissingCalibration, match=r"make it again: bias\.fits\.fz"):
            master_files.read(path)


def test_a_disk_that_takes_nothing_is_unavailable(tmp_path):
    (tmp_path / "masters").write_text("a file where a directory should be")
    with pytest.raises(Unavailable, match=r"bias\.fits\.fz: the disk does not take the file"):
        master_files.write(a_bias(), tmp_path / "masters" / "bias.fits.fz")


def test_an_arc_carries_how_good_its_wavelengths_are_for_people_to_read(tmp_path):
    from astropy.io import fits

    master = an_arc()
    master_files.write(master, tmp_path / "arc.fits.fz")
    with fits.open(tmp_path / "arc.fits.fz") as hdus:
        assert len(hdus["LINE_RESIDUALS"].data) == len(hdus["LINES"].data) == len(master.lines.x)
        assert hdus["LINE_RESIDUALS"].columns.names == ["residual_ms", "photon_ms"]
        assert list(hdus["ORDER_QUALITY"].data["order"]) == 2 * list(master.solution.orders)
        assert hdus["ORDER_OVERLAPS"].columns["difference_ms"].unit == "m s-1"
