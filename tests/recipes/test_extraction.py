from types import SimpleNamespace

import numpy as np
import pytest

from nrespipe.errors import BadFrame
from nrespipe.frames.image import Image
from nrespipe.frames.reduction import References
from nrespipe.frames.traces import Traces
from nrespipe.recipes import extraction


def test_a_frame_whose_orders_lie_elsewhere_is_refused_by_its_name(monkeypatch, spectrograph):
    rows = 300.0 + 60 * np.arange(5)[None, :, None] + np.zeros(256)
    light = np.zeros((700, 256), np.float32)
    for row in rows[0, :, 0] + 20:
        light[int(row) - 3 : int(row) + 4] += 5000
    image = Image(light, np.full(light.shape, 50, np.float32), np.zeros(light.shape, np.uint8), 60.0)
    monkeypatch.setattr(extraction.correction, "correct", lambda *_: (image, None))
    flat = SimpleNamespace(traces=Traces((0,), np.arange(60, 65), rows), gain_e_per_adu=3.2, mask=image.mask)
    raw = SimpleNamespace(filename="lscnrs01-fa09-20190405-0021-e00", lit_fibers=(0,))
    with pytest.raises(BadFrame, match=r"^lscnrs01-fa09-20190405-0021-e00: the orders are not where the flat saw them"):
        extraction.extract_frame(raw, References(bias=SimpleNamespace(), flat=flat), spectrograph)
