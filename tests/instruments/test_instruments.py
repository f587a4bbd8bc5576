import pytest

from nrespipe import instruments
from nrespipe.instruments import names, read


@pytest.fixture
def table(tmp_path):
    text = (instruments.files("nrespipe.instruments") / "nres01.toml").read_text()

    def write(old="", new=""):
        path = tmp_path / "copied.toml"
        path.write_text(text.replace(old, new, 1))
        return path

    return write


def test_there_is_a_table_for_each_of_the_four_sites():
    assert {instruments.load(name).site for name in names()} == {"lsc", "elp", "cpt", "tlv"}


def test_all_sites_cover_the_67_orders_from_52_to_118():
    for name in names():
        assert instruments.load(name).orders.tolist() == list(range(52, 119))


def test_a_new_spectrograph_is_a_copied_table(table):
    assert read(table('name = "nres01"', 'name = "nres05"')).name == "nres05"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("first = 52", "", "'first' is missing"),
        ("last = 118", "last = 12", "orders.first must be below"),
        ("upward = [2, 1, 0]", "upward = [2, 1, 1]", "must name every fiber once"),
        ("3.2", "3.2.1", "copied.toml"),
        ("[optics]", "[optiks]", "'groove_spacing_um' is missing"),
        ('lines = "thorium_argon"', 'lines = "uranium_neon"', "no line list: 'uranium_neon'"),
    ],
)
def test_a_wrong_table_is_refused_by_name_and_entry(table, old, new, message):
    with pytest.raises(ValueError, match=message) as caught:
        read(table(old, new))
    assert "copied.toml" in str(caught.value)


def test_an_unknown_spectrograph_is_answered_with_the_known_ones():
    with pytest.raises(KeyError, match="nres01, nres02, nres03, nres04"):
        instruments.load("nres99")


def test_only_the_sites_of_two_telescopes_feed_two_fibers():
    fed = {name: instruments.load(name).fibers.star for name in names()}
    assert fed == {"nres01": (0, 2), "nres02": (0,), "nres03": (0, 2), "nres04": (0,)}


def test_a_table_of_the_optics_alone_is_enough(tmp_path):
    text = (instruments.files("nrespipe.instruments") / "nres01.toml").read_text()
    optics = text[text.index("[optics]") :]
    path = tmp_path / "nres05.toml"
    path.write_text(f'name = "nres05"\nsite = "ogg"\n{optics}')
    new, design = instruments.load("nres05", tmp_path), instruments.load("nres01")
    assert (new.site, new.detector, new.fibers) == ("ogg", design.detector, design.fibers)
    assert (new.orders == design.orders).all()
    assert new.longitude_deg != new.longitude_deg
    assert "nres05" in instruments.names(tmp_path)
    assert "nres05" not in instruments.names()


def test_a_table_beside_the_package_comes_first(tmp_path, table):
    table("restart_hour_utc = 16", "restart_hour_utc = 3").rename(tmp_path / "nres01.toml")
    assert instruments.load("nres01", tmp_path).restart_hour_utc == 3
    assert instruments.load("nres01").restart_hour_utc == 16
