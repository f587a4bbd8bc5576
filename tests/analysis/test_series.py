"""The series of a star over sites and fibers, in the forms that programs for orbits read."""

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from nrespipe import cli
from nrespipe.analysis import series, template_building
from nrespipe.database import star_templates as rows
from nrespipe.database.states import State
from nrespipe.database.tables import Frame, StarVelocity
from nrespipe.files import template_files
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind
from nrespipe.frames.star import Star, name_key
from nrespipe.frames.template import LeftOut, Template
from nrespipe.service import assembly
from nrespipe.settings import Settings


@pytest.fixture
def output(tmp_path, monkeypatch):
    """An output directory whose database has velocities of two stars from two sites."""
    for name in ("DB_URL", "NRES_DATA_ROOT"):
        monkeypatch.delenv(name, raising=False)
    built = assembly.build(tmp_path / "out", Settings())
    sites = {"lsc": ("nres01", "fa09"), "elp": ("nres02", "fa17")}
    rows = [  # site, day, fiber, object, velocity, mask, quality
        ("lsc", "20190405", 0, "tau Cet", -16680.0, "K2", 0),
        ("lsc", "20190406", 2, "HD10700_engr", -16675.5, "K2", Quality.NO_METER),
        ("elp", "20190407", 0, "hd 010700", -16690.25, "K2", 0),
        ("elp", "20190408", 0, "HD10700", -16000.0, "K2", Quality.NO_DRIFT | Quality.LOW_SIGNAL),
        ("elp", "20190409", 0, "HD10700", -16500.0, "G2", 0),
        ("elp", "20190410", 0, "HD10700", None, "K2", Quality.NO_VELOCITY),
        ("lsc", "20190406", 0, "HD22049", 16400.0, "K2", 0),
    ]
    with built.sessions.begin() as session:
        for number, (site, day, fiber, name, rv_ms, mask, quality) in enumerate(rows):
            instrument, camera = sites[site]
            frame = Frame(
                filename=f"{site}nrs01-{camera}-{day}-{number:04d}-e00", path="/a", md5=str(number), kind=Kind.SCIENCE,
                site=site, instrument=instrument, camera=camera, day=day, state=State.DONE, start_mjd=58578.0 + number,
            )  # fmt: skip
            frame.velocities = [
                StarVelocity(
                    fiber=fiber, object=name, mask=mask, bjd_tdb=2458578.5 + number, rv_ms=rv_ms, rv_err_ms=9.0,
                    photon_err_ms=3.0, wavelength_err_ms=0.0, drift_err_ms=4.0, mask_err_ms=7.0, berv_ms=1.0,
                    snr=80.0, fwhm_ms=7000.0, contrast=0.4, bisector_ms=12.0, quality=int(quality),
                    activity={"h_alpha": [0.3, 0.01], "s_index": [None, "too faint"]},
                    **({"template": "HD10700", "template_rv_ms": rv_ms + 1.5, "template_err_ms": 2.5} if fiber else {}),
                )
            ]  # fmt: skip
            session.add(frame)
    return tmp_path / "out"


def run(*words):
    return CliRunner().invoke(cli.main, ["velocities", *map(str, words)])


def test_a_series_joins_sites_fibers_and_spellings_and_leaves_out_what_is_in_doubt(output):
    table = series.read(output, "HIP 8102")
    assert list(table["rv"].to_value(u.km / u.s)) == [-16.68, -16.6755, -16.69025]
    assert list(table["tel"]) == ["nres01fa09f0", "nres01fa09f2", "nres02fa17f0"]
    assert table.meta["left_out"] == {"mask G2": 1, "no_drift|low_signal": 1, "no_velocity": 1}


@pytest.mark.slow
def test_the_error_of_a_series_is_without_that_of_the_mask(output):
    np.testing.assert_allclose(series.read(output, "tau Cet")["rv_err"].to_value(u.m / u.s), 5.0)


def test_indices_have_columns_with_errors_and_nan_where_there_is_none(output):
    table = series.read(output, "tau Cet")
    np.testing.assert_allclose(table["h_alpha"].value, 0.3)
    np.testing.assert_allclose(table["h_alpha_err"].value, 0.01)
    assert np.isnan(table["s_index"].value).all()
    assert np.isnan(table["chromatic"].value).all()
    assert table["chromatic"].unit == u.m / u.s


def test_an_exposure_of_the_template_has_the_velocity_by_all_the_others(output):
    frame, grid = "lscnrs01-fa09-20190405-0000-e00", np.ones((1, 50))
    made = Template(
        Star("HD10700"), np.array([90]), 5000 + np.arange(50.0)[None], grid, grid, -16680.0, "lsc", "nres01", (0,),
        58578.0, 58600.0, 9e3, (frame,), (LeftOut(frame, 0, -16677.5, 3.0, 1.1),),
    )  # fmt: skip
    service = assembly.build(output, Settings())
    path = output / "lsc" / "templates" / "template.fits"
    template_files.write(made, path)
    with service.sessions.begin() as session:
        rows.record(session, template_building._row(made, path, service.output, ("", "")))
    table = series.read(output, "tau Cet", engine="template")
    assert list(table["rv"].to_value(u.m / u.s)) == [-16677.5, -16674.0]
    # photons by both spectra, wavelengths and drift as with the mask
    np.testing.assert_allclose(table["rv_err"].to_value(u.m / u.s), [5.0, 2.5])
    assert len(series.read(output, "tau Cet")) == 3
    path.unlink()
    assert len(series.read(output, "tau Cet", engine="template")) == 1


def test_velocities_by_the_template_are_given_where_there_are_any(output):
    table = series.read(output, "tau Cet", engine="template")
    assert [*table["rv"].to_value(u.m / u.s), *table["rv_err"].to_value(u.m / u.s)] == [-16674.0, 2.5]
    assert [*table["rv_mask"].to_value(u.m / u.s)] == [-16675.5]
    assert table.meta["left_out"]["no template"] == 4
    assert (
        "1 velocities of tau Cet by template HD10700"
        in run("tau Cet", "--output", output, "--engine", "template").stderr
    )


def test_site_nights_and_doubts_can_be_chosen(output):
    assert len(series.read(output, "tau Cet", site="lsc")) == 2
    assert len(series.read(output, "tau Cet", first_day="20190406", last_day="20190407")) == 2
    assert len(series.read(output, "tau Cet", keep=Quality.NO_DRIFT)) == 3
    assert len(series.read(output, "tau Cet", keep=Quality.NO_DRIFT | Quality.LOW_SIGNAL)) == 4


def test_a_star_that_nobody_observed_is_told(output):
    with pytest.raises(LookupError, match="no velocity of HD1 is known"):
        series.read(output, "HD1")
    result = run("HD1", "--output", output)
    assert result.exit_code == 1
    assert "no velocity of HD1 is known" in result.output


@pytest.mark.parametrize(("asked", "near"), [("tau Cetx", "tau Cet"), ("HD10701", "HD10700"), ("HIP8120", "HIP8102")])
def test_a_star_that_is_misspelled_is_told_with_the_nearest_names(output, asked, near):
    result = run(asked, "--output", output)
    assert result.exit_code == 1
    assert f"no velocity of {asked} is known" in result.output
    assert near in result.output.split("near in name: ")[1]


def test_a_star_that_was_seen_elsewhere_or_in_other_nights_is_told_with_these(output):
    for words in (("--from", "20200101"), ("--to", "20190101"), ("--site", "tlv")):
        result = run("tau Cet", "--output", output, *words)
        assert result.exit_code == 1
        assert "it was seen at elp, lsc from 20190405 to 20190410" in result.output


def test_the_letters_of_a_site_may_be_large(output):
    assert (
        run("tau Cet", "--output", output, "--site", "LSC").stdout
        == run("tau Cet", "--output", output, "--site", "lsc").stdout
    )


def test_a_catalog_that_was_damaged_since_is_named_and_nothing_is_guessed(output):
    (output / "targets.csv").write_text("name,ra\n", encoding="utf-8")
    for words in (
        ["velocities", "HD10700"],
        ["zeropoints", "make", "--star", "HD10700"],
        ["template", "build", "--target", "HD10700", "--site", "lsc"],
    ):
        result = CliRunner().invoke(cli.main, [*words, "--output", str(output)])
        assert result.exit_code == 1
        assert f"Error: the catalog of stars {output / 'targets.csv'} cannot be used" in result.output


@pytest.mark.parametrize("choice", [{"first_day": "2019-04-06"}, {"last_day": 20190406}, {"engine": "forest"}])
def test_a_choice_that_python_does_not_know_is_refused(output, choice):
    with pytest.raises(ValueError, match=r"is no (night|engine)"):
        series.read(output, "tau Cet", **choice)


def test_a_file_in_a_directory_that_is_not_there_is_refused_by_its_own_name(output, tmp_path):
    path = tmp_path / "no" / "a.csv"
    result = run("tau Cet", "--output", output, "-o", path)
    assert result.exit_code == 1
    assert f"{path}: there is no directory {path.parent}" in result.output


def test_the_file_for_radvel_has_its_four_columns(output, tmp_path):
    path = tmp_path / "tau.csv"
    result = run("tau Cet", "--output", output, "-o", path)
    assert result.exit_code == 0, result.output
    assert "3 velocities of tau Cet by mask K2 from nres01fa09f0, nres01fa09f2, nres02fa17f0" in result.stderr
    assert "left out: 1 mask G2" in result.stderr
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    # radvel takes a table with these names; tel becomes part of the names of its parameters
    assert header == "time,mnvel,errvel,tel"
    assert lines[1] == "2458579.5000000,-16675.500,5.000,nres01fa09f2"
    assert all(line.split(",")[3].isalnum() for line in lines)


def test_the_file_for_juliet_is_read_as_juliet_reads_it(output, tmp_path):
    path = tmp_path / "tau.dat"
    assert run("tau Cet", "--output", output, "-o", path).exit_code == 0
    rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    # time, velocity, error, instrument; an underscore in the instrument would mean several
    assert [len(row) for row in rows] == [4, 4, 4]
    assert [float(row[1]) for row in rows] == [-16680.0, -16675.5, -16690.25]
    assert all("_" not in row[3] for row in rows)


def test_the_table_of_astropy_comes_back_with_its_units(output, tmp_path):
    path = tmp_path / "tau.ecsv"
    assert run("tau Cet", "--output", output, "-o", path).exit_code == 0
    table = QTable.read(path)
    assert table["rv"].unit == u.m / u.s
    assert table["bjd_tdb"].unit == u.day
    assert table.meta["by"] == "K2"
    assert list(table["quality"].filled("")) == ["", "no_meter", ""]


def test_the_series_is_printed_for_the_eye_or_in_any_form(output):
    head, *lines = run("tau Cet", "--output", output).stdout.splitlines()
    assert head.split() == ["bjd_tdb", "rv", "rv_err", "drift", "snr", "fwhm", "bisector", "tel", "quality", "filename"]
    assert len(lines) == 3
    csv, radvel = (run("tau Cet", "--output", output, "--format", form).stdout for form in ("csv", "radvel"))
    assert csv == radvel
    assert csv.startswith("time,mnvel,errvel,tel\n")
    text = run("tau Cet", "--output", output, "--format", "ecsv", "--keep", "all").stdout
    assert len(QTable.read(text.splitlines(), format="ascii.ecsv")) == 4


def test_a_series_of_which_nothing_is_left_has_its_header_and_says_why(output, tmp_path):
    result = run("tau Cet", "--output", output, "--from", "20190410", "-o", tmp_path / "none.csv")
    assert result.exit_code == 0, result.output
    assert "0 velocities of tau Cet by mask none from nowhere; left out: 1 no_velocity" in result.stderr
    assert (tmp_path / "none.csv").read_text(encoding="utf-8") == "time,mnvel,errvel,tel\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--zeropoints", "tau Cet"), "'tau Cet' is no number of a version; write STAR before --zeropoints"),
        (("tau Cet", "--site", "xyz"), "no spectrograph stands at xyz; sites: cpt, elp, lsc, tlv"),
        (("tau Cet", "--from", "20190410", "--to", "20190401"), "--from 20190410 is after --to 20190401"),
        (("--site", "lsc", "--keep", "all"), "without a STAR the only options are --site, --from, --to"),
        (("tau Cet", "--from", "yesterday"), "'yesterday' is no day"),
        (("tau Cet", "-o", "x.fits"), "its suffix belongs to no form"),
        (("tau Cet", "--keep", "rain"), "'rain' is not one of"),
    ],
)
def test_what_cannot_be_asked_is_told(output, words, message):
    result = run(*words, "--output", output)
    assert result.exit_code != 0
    assert message in result.output


def observe(output, *rows):
    """Add frames: name in OBJECTS, identified star, position, velocity."""
    with assembly.build(output, Settings()).sessions.begin() as session:
        for number, (name, star, place, rv_ms, quality) in enumerate(rows, 100):
            frame = Frame(
                filename=f"lscnrs01-fa09-20190501-{number:04d}-e00", path="/a", md5=str(number), kind=Kind.SCIENCE,
                site="lsc", instrument="nres01", camera="fa09", day="20190501", state=State.DONE, start_mjd=58604.1,
            )  # fmt: skip
            frame.velocities = [
                StarVelocity(
                    fiber=0, object=name, star=star, mask="G2", bjd_tdb=2458604.6 + number, rv_ms=rv_ms, rv_err_ms=9.0,
                    photon_err_ms=3.0, wavelength_err_ms=0.0, drift_err_ms=4.0, quality=int(quality),
                    ra_deg=place[0], dec_deg=place[1],
                )
            ]  # fmt: skip
            session.add(frame)


UNLISTED = Quality.NO_CATALOG_STAR


def test_a_series_has_the_star_that_was_identified_whatever_it_was_called(output):
    here = (176.629458, -40.500361)
    observe(
        output,
        ("HD10700", "HD102365", here, 16900.0, Quality.STAR_DISAGREES),
        ("HD102365", "HD102365", here, 16901.0, Quality(0)),
        ("my target", "HD102365", here, 16902.0, Quality(0)),
        ("HD 102365 B", "", (176.631, -40.500361), 16800.0, UNLISTED),
    )
    table = series.read(output, "HD102365")
    assert list(table["rv"].to_value(u.m / u.s)) == [16901.0, 16902.0]
    assert table.meta["left_out"] == {"star_disagrees": 1}
    assert list(series.read(output, "my target")["object"]) == ["HD102365", "my target"]
    assert list(series.read(output, "HD 102365 B")["rv"].to_value(u.m / u.s)) == [16800.0]
    assert 16900.0 not in series.read(output, "tau Cet", engine="mask")["rv"].to_value(u.m / u.s)


def test_stars_that_no_catalog_has_share_no_series_at_two_places(output):
    observe(
        output,
        ("target", "", (10.0, -20.0), 1.0, UNLISTED),
        ("target", "", (10.001, -20.0), 2.0, UNLISTED),
        ("target", "", (50.0, 10.0), 3.0, UNLISTED),
        # by its name a star of the catalog, which is elsewhere
        ("HD22049", "", (50.0, 10.0), 4.0, UNLISTED),
    )
    table = series.read(output, "target")
    assert list(table["rv"].to_value(u.m / u.s)) == [1.0, 2.0]
    assert table.meta["left_out"] == {"another place": 1}
    assert series.read(output, "eps Eri").meta["left_out"] == {"another place": 1}


def test_a_star_that_was_never_observed_has_no_series(output):
    observe(output, ("HD_12345", "", (10.0, -20.0), 1.0, UNLISTED), ("HD_54321", "", (50.0, 10.0), 3.0, UNLISTED))
    with pytest.raises(LookupError, match="no velocity of HD_99999"):
        series.read(output, "HD_99999")
    assert len(series.read(output, "HD 12345")) == 1


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["HD_1", "HD_2", "HD 1", "target", "target_2", "tau_Cet", "TOI-3"]),
            st.sampled_from([(10.0, -20.0), (10.0, -20.01), (50.0, 10.0), (350.0, 80.0)]),
        ),
        min_size=1, max_size=12,
    )
)  # fmt: skip
def test_no_two_stars_share_a_series(seen):
    velocities = [StarVelocity(object=name, ra_deg=p[0], dec_deg=p[1], quality=int(UNLISTED)) for name, p in seen]
    of_name = [v for v in velocities if name_key(v.object) == name_key(seen[0][0])]
    kept = [v for v, elsewhere in zip(of_name, series._elsewhere(of_name, None)) if not elsewhere]
    assert kept
    assert len({(v.ra_deg, v.dec_deg) for v in kept}) == 1
