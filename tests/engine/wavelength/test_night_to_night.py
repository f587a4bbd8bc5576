from dataclasses import replace

import arc_spectra
import numpy as np
import pytest

from nrespipe import data, instruments
from nrespipe.engine.acceptance import master_checks
from nrespipe.engine.wavelength import calibrate, night_to_night
from nrespipe.frames.judgement import Verdict
from nrespipe.frames.masters import Arc, Origin
from nrespipe.frames.raw import Kind

_ORDERS = np.arange(78, 96)
_ORIGIN = Origin(Kind.ARC, "lsc", "nres01", "fa09", "20190405", 58578.5, ("a", "b"))


def _arc(truth, seed, moved=(0.0, 0.0)):
    pairs = [(0, 1), (0, 1), (1, 2), (1, 2)]
    arcs = [arc_spectra.expose(truth, pair, seed + i, moved, orders=_ORDERS) for i, pair in enumerate(pairs)]
    found = calibrate.calibrate(arcs, truth.spectrograph, data.lamp_lines())
    return Arc(_ORIGIN, found.solution, found.lines, found.line_shape, None, found.reference, found.transfer_error_ms)


@pytest.fixture(scope="module")
def truth():
    return arc_spectra.truth(instruments.load("nres01"), data.lamp_lines(), seed=12)


@pytest.fixture(scope="module")
def nights(truth):
    return _arc(truth, 80), _arc(truth, 70, (0.2, 0.03))


@pytest.mark.slow
def test_two_nights_differ_by_what_the_spectrograph_has_moved_and_by_nothing_else(truth, nights):
    found = night_to_night.compare(nights[1], nights[0])
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


@pytest.mark.slow
@pytest.mark.parametrize(("wrong_ms", "verdict"), [(60, Verdict.FLAGGED), (-150, Verdict.REVIEW)])
def test_a_solution_that_has_moved_where_the_lamp_has_not_is_told(nights, wrong_ms, verdict):
    last, new = nights
    wrong = replace(new.solution, coefficients=new.solution.coefficients * (1 + wrong_ms / 299792458))
    judged = master_checks.judge(replace(new, solution=wrong), last, instruments.load("nres01"))
    (found,) = [finding for finding in judged.findings if finding.name == "offset_ms"]
    assert found.value == pytest.approx(wrong_ms, abs=5)
    assert found.verdict is verdict
    sound = master_checks.judge(new, last, instruments.load("nres01"))
    assert {f.name: f.verdict for f in sound.findings}["offset_ms"] is Verdict.ACCEPTED
