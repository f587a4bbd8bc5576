from dataclasses import fields, replace

import numpy as np
import pytest
from astropy.io import fits

from nrespipe.errors import MissingCalibration
from nrespipe.files import template_files
from nrespipe.frames.star import Star
from nrespipe.frames.template import LeftOut, Template


@pytest.fixture
def template():
    rng = np.random.default_rng(3)
    flux = rng.uniform(0.1, 1, (3, 40))
    flux[1, 30:] = np.nan
    star = Star(
        "HD 1", 12.5, -3.25, 2016.0, 1.5, -2.5, 33.0, -4.5, 6.1, 5700.0, 4.4, -0.1, "G3V", ("Alpha One", "HR 2")
    )
    angstrom = np.linspace(5000, 5100, 40) * np.ones((3, 1))
    return Template(
        star, np.array([90, 91, 92]), angstrom, flux, flux * 1e-4, -4512.3, "lsc", "nres01", (0, 2), 58000.1, 58100.2,
        12345.6, tuple(f"lscnrs01-fa09-20190405-{i:04d}-e91" for i in range(9)),
        tuple(LeftOut(f"lscnrs01-fa09-20190405-{i:04d}-e91", i % 2, -4512.3 + i, 2.5, 1.1) for i in range(9)),
    )  # fmt: skip


def test_a_template_is_read_as_it_was_written_to_the_last_bit(template, tmp_path):
    path = tmp_path / "template.fits"
    template_files.write(template, path)
    found = template_files.read(path)
    for field in fields(Template):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(template, field.name))
    assert found.fingerprint == template.fingerprint
    assert found.trusted


def test_what_is_not_known_of_a_star_stays_unknown(template, tmp_path):
    bare = replace(template, star=Star("HD1"), start_mjd=float("nan"), site="")
    template_files.write(bare, tmp_path / "template.fits")
    found = template_files.read(tmp_path / "template.fits")
    assert found.star == bare.star
    assert np.isnan(found.start_mjd)


def test_the_same_template_gives_the_same_bytes(template, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        template_files.write(template, tmp_path / name / "template.fits")
    assert (tmp_path / "one/template.fits").read_bytes() == (tmp_path / "two/template.fits").read_bytes()


def test_the_header_tells_a_person_whose_spectrum_it_is(template, tmp_path):
    template_files.write(template, tmp_path / "template.fits")
    header = fits.getheader(tmp_path / "template.fits")
    assert (header["OBJECT"], header["TEFF"], header["LOGG"], header["FEH"]) == ("HD 1", 5700.0, 4.4, -0.1)
    assert (header["MJD-BEG"], header["MJD-END"], header["NCOMBINE"]) == (58000.1, 58100.2, 9)
    assert header["TEMPLHSH"] == template.fingerprint


def test_a_template_that_is_gone_or_cut_short_is_missing_and_not_a_defect_of_the_program(template, tmp_path):
    with pytest.raises(MissingCalibration, match="not where it should be"):
        template_files.read(tmp_path / "template.fits")
    path = tmp_path / "template.fits"
    template_files.write(template, path)
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(MissingCalibration, match="make it again"):
        template_files.read(path)
