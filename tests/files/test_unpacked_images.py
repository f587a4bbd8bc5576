"""Images of masters are unpacked once, and mapped into memory by all that read them."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from nrespipe.files import layout, master_files, unpacked_images
from nrespipe.frames.masters import Flat, Origin
from nrespipe.frames.raw import Kind
from nrespipe.frames.traces import Profile, Traces

LARGE = "PROFILE_RESPONSE"


def a_flat():
    rng = np.random.default_rng(5)
    response = rng.normal(1, 0.01, (200, 4096)).astype(np.float32)
    profile = Profile(
        np.linspace(-8, 8, 65), np.arange(12.0), np.ones((2, 5, 12, 65), np.float32), np.arange(8.0), np.zeros((2, 8)),
        response, response / 100,
    )  # fmt: skip
    traces = Traces((0, 2), np.arange(52, 57), rng.normal(100, 1, (2, 5, 4096)))
    origin = Origin(Kind.FLAT, "lsc", "nres01", "fa09", "20190405", 58579.1, ("lscnrs01-fa09-20190405-0001-w00",))
    blaze, mask = rng.random((2, 5, 4096)), (rng.random((200, 4096)) > 0.9).astype(np.uint8)
    return Flat(origin, traces, profile, blaze, 3.2, 1 / 3, mask, np.ones((2, 5)))


@pytest.fixture
def flat(tmp_path):
    path = tmp_path / "flat.fits.fz"
    master_files.write(a_flat(), path)
    return path


def pixels_of(flat):
    return flat.profile.response, flat.profile.response_error, flat.traces.centers, flat.mask, flat.blaze


def test_a_master_is_the_same_with_unpacked_images_as_without(flat, tmp_path):
    plain = master_files.read(flat)
    for _ in range(2):
        mapped = master_files.read(flat, tmp_path / "unpacked")
        for one, other in zip(pixels_of(plain), pixels_of(mapped)):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype
        assert plain.gain_error == mapped.gain_error


def test_only_large_images_are_unpacked_and_no_second_time(flat, tmp_path, monkeypatch):
    folder = tmp_path / "unpacked"
    master_files.read(flat, folder)
    names = {path.name for path in folder.iterdir()}
    assert f"{LARGE}.npy" in names
    assert "PEAK_E_PER_S.npy" not in names
    saved = []
    monkeypatch.setattr(np, "save", lambda *_, **__: saved.append(1))
    master_files.read(flat, folder)
    assert not saved


def test_the_response_lies_by_columns_and_cannot_be_written_to(flat, tmp_path):
    response = master_files.read(flat, tmp_path / "unpacked").profile.response
    assert response.flags.f_contiguous
    with pytest.raises(ValueError, match="read-only"):
        response[0, 0] = 1


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"not an array at all"])
def test_a_damaged_copy_is_made_again(flat, tmp_path, damage):
    folder = tmp_path / "unpacked"
    expected = np.array(master_files.read(flat, folder).profile.response)
    (folder / f"{LARGE}.npy").unlink()
    (folder / f"{LARGE}.npy").write_bytes(damage)
    np.testing.assert_array_equal(master_files.read(flat, folder).profile.response, expected)
    np.testing.assert_array_equal(np.load(folder / f"{LARGE}.npy"), expected)


def test_a_copy_of_another_shape_is_not_taken(flat, tmp_path):
    folder = tmp_path / "unpacked"
    folder.mkdir()
    np.save(folder / f"{LARGE}.npy", np.ones((3, 4), np.float32))
    assert master_files.read(flat, folder).profile.response.shape == (200, 4096)


def test_a_disk_that_takes_no_copy_costs_no_frame(flat, tmp_path):
    # a file where the directory should be: no user, not even root, can write below it
    (tmp_path / "unpacked").write_text("in the way")
    plain, read = master_files.read(flat), master_files.read(flat, tmp_path / "unpacked")
    np.testing.assert_array_equal(plain.profile.response, read.profile.response)


def test_copies_that_nobody_used_lately_are_removed_and_those_of_recent_use_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacked_images, "_KEPT", 3)
    folders = [layout.unpacked_path(tmp_path, f"{i:032x}") for i in range(8)]
    for i, folder in enumerate(folders):
        folder.mkdir(parents=True)
        (folder / "ADU.npy").write_bytes(b"some")
        # the first five long ago
        used = time.time() - (1e5 - i if i < 5 else 100 - i)
        os.utime(folder, (used, used))
    unpacked_images.remove_old(folders[0])
    assert [folder.exists() for folder in folders] == [True, False, False, False, False, True, True, True]


def test_a_process_that_has_an_image_mapped_keeps_it_when_its_copy_is_removed(flat, tmp_path):
    program = (
        "import sys, shutil, numpy as np\n"
        "from nrespipe.files import master_files\n"
        "from pathlib import Path\n"
        "flat = master_files.read(sys.argv[1], Path(sys.argv[2]))\n"
        "shutil.rmtree(sys.argv[2])\n"
        "print(float(np.sum(flat.profile.response, dtype=float)))"
    )
    command = [sys.executable, "-c", program, flat, tmp_path / "unpacked"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert float(printed) == pytest.approx(float(np.sum(master_files.read(flat).profile.response, dtype=float)))
