from nrespipe.files import layout
from nrespipe.files.raw import raw_file


def test_masters_and_products_lie_under_their_site_instrument_and_night(write_raw, tmp_path):
    frame = raw_file.read(write_raw())
    path = layout.product_path(tmp_path, frame, "-L2.fits.fz")
    assert path == tmp_path / "lsc/nres01/20190405/processed/lscnrs01-fa09-20190405-0021-e91-L2.fits.fz"
    assert (
        layout.raw_directory("/archive", "lsc", "nres01", "20190405").as_posix() == "/archive/lsc/nres01/20190405/raw"
    )


def test_raw_frames_are_listed_once_in_the_order_of_their_numbers(tmp_path):
    names = [
        "lscnrs01-fa09-20190405-0021-e00.fits.fz",
        "lscnrs01-fa09-20190405-0021-e00.fits",
        "lscnrs01-fa09-20190405-0003-w00.fits.fz",
        "lscnrs01-fa09-20190405-0010-b00.fits",
        "lscnrs01-fa09-20190405-0011-g00.fits.fz",
        "lscnrs01-fa09-20190405-0012-e91.fits.fz",
        "notes.txt",
    ]
    for name in names:
        (tmp_path / name).touch()
    found = [path.name for path in layout.raw_frames(tmp_path)]
    assert found == [names[2], names[3], names[0]]


def test_a_fetched_frame_lies_under_the_night_in_its_name_or_next_to_the_sites():
    names = ("lscnrs01-fa09-20190405-0021-e00.fits.fz", "lscnrs01-latest-e00.fits.fz", "a-e00.fits")
    assert [layout.fetched_path("/out", name).as_posix() for name in names] == [
        "/out/lsc/nres01/20190405/fetched/lscnrs01-fa09-20190405-0021-e00.fits.fz",
        "/out/fetched/lscnrs01-latest-e00.fits.fz",
        "/out/fetched/a-e00.fits",
    ]


def test_a_night_without_frames_is_empty(tmp_path):
    assert layout.raw_frames(tmp_path / "nowhere") == []
