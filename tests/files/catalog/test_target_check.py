"""What is wrong with a catalog is named by line and column, all of it at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrespipe.files.catalog import target_check, targets

HEADER = ",".join(target_check.COLUMNS)
GOOD = "Aa1,one;uno,10.0,-20.0,2000.0,100.0,-50.0,20.0,5.0,6.0,5800,4.4,0.1,G2V,,somebody"


def row(**changes):
    """A line of a catalog that is right, with some fields changed."""
    fields = dict(zip(target_check.COLUMNS, GOOD.split(","))) | {name: str(value) for name, value in changes.items()}
    return ",".join(fields.values())


def defects(tmp_path, *rows, header=HEADER):
    path = tmp_path / "stars.csv"
    path.write_text("\n".join(["# a remark", header, *rows]) + "\n", encoding="utf-8")
    return [str(defect) for defect in target_check.read(path)[1]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dec_deg": -95}, "line 3, dec_deg: -95 lies outside -90..90"),
        ({"teff_k": "warm"}, "line 3, teff_k: 'warm' is no number"),
        ({"logg": "nan"}, "line 3, logg: nan lies outside -1..6"),
        ({"source": ""}, "line 3, source: is empty"),
        ({"epoch_year": ""}, "line 3, epoch_year: is empty"),
        ({"epoch_year": 51544}, "line 3, epoch_year: 51544 lies outside 1950..2050"),
        ({"pm_dec_mas_yr": ""}, "line 3, pm_dec_mas_yr: is empty, but pm_ra_mas_yr is not"),
        ({"ra_deg": "00:40:00.1"}, "line 3, ra_deg: '00:40:00.1' is sexagesimal; a number in degrees is needed"),
        ({"ra_deg": "0h40m00.1s"}, "line 3, ra_deg: '0h40m00.1s' is sexagesimal; a number in degrees is needed"),
        ({"rv_kms": 5000}, "line 3, rv_kms: 5000 lies outside -600..600"),
        ({"v_mag": -99.9}, "line 3, v_mag: -99.9 stands for unknown; leave the field empty"),
        ({"spectral_type": "yellow"}, "line 3, spectral_type: 'yellow' begins like no spectral type, as G2V"),
        ({"template": "HD5"}, "line 3, template: HD5 is no star of this catalog"),
    ],
)
def test_a_field_that_cannot_be_is_named(tmp_path, changes, message):
    assert defects(tmp_path, row(**changes)) == [message]


def test_a_line_with_too_many_fields_is_named(tmp_path):
    assert defects(tmp_path, GOOD + ",more") == ["line 3: has 17 fields, 16 are needed"]


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"name": "aA1", "aliases": ""}, "line 4, name: aA1: the name AA1 belongs to line 3 too"),
        ({"name": "Bb2", "aliases": "Uno"}, "line 4, name: Bb2: the name UNO belongs to line 3 too"),
        ({"name": "Bb2", "aliases": "", "ra_deg": 40.0}, "line 4, pm_ra_mas_yr: Bb2 has the proper motion of line 3"),
        (
            {"name": "Bb2", "aliases": "", "ra_deg": 10.0005, "pm_ra_mas_yr": 101.0},
            "line 4, ra_deg: Bb2 lies 1.7 arcsec from Aa1 of line 3: the same star under another name",
        ),
    ],
)
def test_two_lines_that_contradict_each_other_are_named(tmp_path, second, message):
    assert message in defects(tmp_path, GOOD, row(**second))


def test_a_companion_half_an_arcminute_away_is_another_star(tmp_path):
    assert defects(tmp_path, GOOD, row(name="Bb2", aliases="", ra_deg=10.008)) == []


@pytest.mark.parametrize("name", ["HD10700", "HIP8102"])
def test_hours_in_the_place_of_degrees_are_recognised_by_the_number_of_the_star(tmp_path, name):
    (found,) = defects(tmp_path, row(name=name, ra_deg=1.7345, dec_deg=-15.94))
    assert "line 3, ra_deg" in found
    assert found.endswith("not at 1.7345: are these hours?")


def test_a_position_of_another_star_is_recognised_by_the_number(tmp_path):
    (found,) = defects(tmp_path, row(name="HD10700", ra_deg=199.6, dec_deg=-15.94))
    assert "should lie near 26 degrees by its number, not at 199.6" in found


def test_all_defects_are_told_at_once_in_the_order_of_the_lines(tmp_path):
    found = defects(tmp_path, row(dec_deg=-95, source=""), row(name="Bb2", ra_deg="1 2 3"), row(aliases="Bb2"))
    assert [text.split(":")[0] for text in found] == [
        "line 3, source", "line 3, dec_deg", "line 4, ra_deg", "line 4, name", "line 4, name", "line 5, name",
        "line 5, name",
    ]  # fmt: skip


def test_columns_that_are_missing_or_unknown_are_named_and_the_rest_is_checked(tmp_path):
    header = HEADER.replace("logg", "log_g")
    found = defects(tmp_path, row(dec_deg=-95), header=header)
    assert "line 2, logg: this column is missing" in found
    assert "line 2, log_g: no such column is known" in found
    assert "line 3, dec_deg: -95 lies outside -90..90" in found


def test_empty_rows_and_columns_that_a_spreadsheet_adds_do_not_count(tmp_path):
    path = tmp_path / "stars.csv"
    lines = ["# stars", '"# of, a spreadsheet"', f"{HEADER},,", f"{row()},,", ",,,,", "   ", f"{row(name='Bb2')},x,"]
    path.write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    stars, found = target_check.read(path)
    assert len(stars) == 1
    assert [str(one) for one in found if one.line == 7] == ["line 7: has 17 fields, 16 are needed"]


@pytest.mark.parametrize(("mark", "name"), [(";", "';'"), ("\t", "a tab")])
def test_another_mark_between_the_columns_is_one_defect(tmp_path, mark, name):
    path = tmp_path / "stars.csv"
    path.write_text(HEADER.replace(",", mark) + "\n" + row().replace(",", mark), encoding="utf-8")
    assert [*map(str, target_check.read(path)[1])] == [f"line 1: {name} separates the columns; expected a comma"]


def test_a_catalog_without_a_star_is_none(tmp_path):
    path = tmp_path / "stars.csv"
    path.write_text(HEADER + "\n# HD1,,1.0,2.0\n", encoding="utf-8")
    assert [*map(str, target_check.read(path)[1])] == ["has no stars"]


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"\xff\xfe\x00", b'name,"ra_deg\n\n'])
def test_what_is_no_catalog_is_told_and_raises_nothing(tmp_path, content):
    path = tmp_path / "stars.csv"
    path.write_bytes(content)
    stars, found = target_check.read(path)
    assert stars == ()
    assert found


@given(text=st.text(alphabet=st.sampled_from('aH1,;"\n#-.9'), max_size=200))
def test_no_text_whatever_stops_the_check(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("wild") / "stars.csv"
    path.write_text(HEADER + "\n" + text, encoding="utf-8")
    stars, found = target_check.read(path)
    assert all(star.name for star in stars)
    assert all(str(defect) for defect in found)


def test_the_catalog_of_the_program_has_no_defect():
    stars, found = target_check.read(targets.installed())
    assert found == []
    assert len(stars) >= 30
    assert sum(star.teff_k is not None for star in stars) >= 20
