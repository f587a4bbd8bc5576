import re

import numpy as np
import pytest

from nrespipe.engine.orders import trace
from nrespipe.files import ds9_regions
from nrespipe.frames.raw import Kind, Section
from nrespipe.frames.traces import Traces
from nrespipe.simulator import frame as frames

_LINE = re.compile(r"line\(([\d.]+),([\d.]+),([\d.]+),([\d.]+)\) # line=0 0 color=(\w+) tag=\{fiber (\d)\}")


def lines(text):
    return [(*map(float, found[:4]), *found[4:]) for found in _LINE.findall(text)]


@pytest.mark.slow
def test_the_lines_lie_on_the_light_of_a_raw_frame(expose, spectrograph):
    shot = expose(frames.Scene(Kind.FLAT, ("tung", "tung", "none"), 30.0), seed=2)
    # an overscan below and to the left, as other cameras have it
    raw = np.pad(shot.raw.adu, ((3, 0), (50, 0)))
    rows, columns = spectrograph.detector.rows, spectrograph.detector.columns
    traces = trace.find(shot.raw.adu[:rows, :columns] - 1000, (0, 1), spectrograph)
    drawn = lines(ds9_regions.text(traces, Section(50, 50 + columns, 3, 3 + rows)))
    assert len(drawn) > len(spectrograph.orders) * 2 * 10
    on, beside = [], []
    for x0, y0, x1, y1, *_ in drawn:
        # pixel (1, 1) of a region file is the first of the array
        x, y = round((x0 + x1) / 2) - 1, (y0 + y1) / 2 - 1
        on.append(raw[round(y) - 1 : round(y) + 2, x].mean())
        beside.append(raw[[round(y) - 7, round(y) + 7], x].mean())
        assert raw[round(y) - 5 : round(y) + 6, x - 4 : x + 5].mean(axis=1).argmax() in (3, 4, 5, 6, 7)
    assert np.median(np.array(on) - beside) > 500


def test_every_fiber_has_its_color_and_every_order_its_number():
    centers = np.stack([100.0 + 40 * np.arange(3)[:, None] + np.zeros(400) + 18 * fiber for fiber in (0, 1)])
    centers[1, 2, 200:] = np.nan
    text = ds9_regions.text(Traces((0, 1), np.array([60, 61, 62]), centers), Section(0, 400, 0, 300), step=100)
    drawn = lines(text)
    assert {(color, fiber) for *_, color, fiber in drawn} == {("cyan", "0"), ("orange", "1")}
    assert len(drawn) == 5 * 4 + 1
    assert drawn[0][:4] == (1, 101, 101, 101)
    assert re.findall(r"text=\{(\d+)\}", text) == ["60", "61", "62"] * 2
    assert text.splitlines()[2] == "image"
