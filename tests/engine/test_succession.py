import numpy as np
import pytest

from nrespipe import data, instruments
from nrespipe.engine import succession, wavelength
from nrespipe.frames.masters import Arc
from nrespipe.simulator import arc_spectra

_ORDERS = np.arange(78, 96)


def _arc(truth, seed, moved=(0.0, 0.0)):
    pairs = [(0, 1), (0, 1), (1, 2), (1, 2)]
    arcs = [arc_spectra.expose(truth, pair, seed + i, moved, orders=_ORDERS) for i, pair in enumerate(pairs)]
    found = wavelength.calibrate(arcs, truth.spectrograph, data.lamp_lines())
    return Arc(None, found.solution, found.lines, found.line_shape, None, found.reference, found.transfer_error_ms)


@pytest.mark.slow
def test_two_nights_differ_by_what_the_spectrograph_has_moved_and_by_nothing_else():
    truth = arc_spectra.truth(instruments.load("nres01"), data.lamp_lines(), seed=12)
    found = succession.compare(_arc(truth, 70, (0.2, 0.03)), _arc(truth, 80))
    x = np.arange(32.0, 4096, 64)
    then, now = (truth.wavelength(1, _ORDERS[:, None], x, moved) for moved in ((0, 0), (0.2, 0.03)))
    expected = 299792458 * np.mean(now / then - 1)
    assert abs(found["zero_ms"] - expected) < 4 * found["zero_error_ms"] + 0.5
    assert found["zero_error_ms"] < 1.5
    assert found["shift_px"] == pytest.approx(0.2, abs=0.005)
    assert abs(found["offset_ms"]) < 5
    assert found["shape_ms"] < 30
    assert found["width"] == pytest.approx(1, abs=0.01)
    for fiber in (0, 2):
        assert abs(found[f"fiber{fiber}_ms"]) < 4 * found[f"fiber{fiber}_error_ms"] + 1
