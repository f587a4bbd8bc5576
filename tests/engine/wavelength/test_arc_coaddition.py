import numpy as np
import pytest

from nrespipe.engine.wavelength import arc_coaddition
from nrespipe.errors import BadFrame
from nrespipe.frames.quality import Pixel
from nrespipe.frames.spectra import Spectra

_LINES = np.zeros((2, 300))
for _pixel in (19, 20, 21):
    _LINES[:, _pixel::40] = 10_000.0


def _arc(fibers, level=1.0, orders=(80, 81), spikes=(), flag=None):
    shape = (len(fibers), 2, 300)
    flux = np.broadcast_to(level * _LINES, shape).copy()
    quality = np.zeros(shape, np.uint8)
    for spike in spikes:
        flux[spike] += 5000
    if flag:
        quality[flag[0]] = flag[1]
    return Spectra(tuple(fibers), np.array(orders), flux, np.full(shape, 400.0), quality, np.ones(shape))


def test_a_stack_holds_the_light_of_all_arcs_and_knows_their_levels():
    stack, levels = arc_coaddition.arcs([_arc((0, 1)), _arc((0, 1), 2.0), _arc((1, 2)), _arc((1, 2))])
    assert stack.fibers == (0, 1, 2)
    assert stack.of(1).flux[0, 20] == pytest.approx(50_000)
    assert stack.of(0).flux[0, 20] == pytest.approx(30_000)
    assert np.all(stack.of(1).variance == 1600)
    assert levels[0, 2] == 0
    assert levels[1] == pytest.approx([1, 2, 1, 1])


def test_a_cosmic_ray_in_one_of_three_arcs_leaves_no_trace():
    stack, _ = arc_coaddition.arcs([_arc((1,)), _arc((1,), spikes=[(0, 1, 110), (0, 1, 60)]), _arc((1,))])
    assert stack.flux[0, 1, 110] == pytest.approx(0, abs=1e-6)
    assert stack.flux[0, 1, 60] == pytest.approx(30_000)


def test_light_that_is_saturated_in_one_arc_stays_flagged_and_a_cosmic_flag_is_healed_by_the_others():
    saturated, hit = (
        _arc((1,), flag=((0, 0, 20), Pixel.SATURATED)),
        _arc((1,), spikes=[(0, 0, 108)], flag=((0, 0, 108), Pixel.COSMIC)),
    )
    stack, _ = arc_coaddition.arcs([saturated, hit, _arc((1,))])
    assert stack.quality[0, 0, 20] == Pixel.SATURATED
    assert stack.quality[0, 0, 108] == 0
    assert stack.flux[0, 0, 108] == pytest.approx(0, abs=1e-6)


def test_a_pixel_that_is_bad_in_every_arc_has_no_value():
    arcs = [_arc((1,), flag=((0, 0, 33), Pixel.BAD)) for _ in range(2)]
    stack, _ = arc_coaddition.arcs(arcs)
    assert np.isnan(stack.flux[0, 0, 33])
    assert stack.quality[0, 0, 33] == Pixel.BAD


def test_an_arc_whose_lamp_failed_is_left_out():
    stack, levels = arc_coaddition.arcs([_arc((1,)), _arc((1,)), _arc((1,), 0.001)])
    assert stack.flux[0, 0, 20] == pytest.approx(20_000)
    assert levels[0, 2] < 0.01


def test_arcs_without_light_or_along_different_orders_cannot_be_added():
    with pytest.raises(BadFrame, match="no light"):
        arc_coaddition.arcs([_arc((1,), 0.0)])
    with pytest.raises(BadFrame, match="different orders"):
        arc_coaddition.arcs([_arc((1,)), _arc((1,), orders=(81, 82))])


def test_saturated_lines_do_not_tell_the_level_of_a_lamp_and_keep_their_light():
    # every other line is beyond the full well in all arcs but the faintest
    factors, well = (0.4, 1.0, 2.0, 1.0), 60_000.0
    light = _LINES.copy()
    light[:, 19:300:80] *= 12
    light[:, 20:300:80] *= 12
    light[:, 21:300:80] *= 12
    arcs = []
    for factor in factors:
        arc = _arc((1,))
        flux = np.minimum(factor * light, well)[None]
        quality = np.where(flux >= well, Pixel.SATURATED, 0).astype(np.uint8)
        arcs.append(Spectra(arc.fibers, arc.orders, flux, arc.variance, quality, arc.blaze))
    stack, levels = arc_coaddition.arcs(arcs)
    assert levels[0] == pytest.approx(factors)
    # a line that no arc saturates is the sum of all
    assert stack.flux[0, 0, 60] == pytest.approx(sum(factors) * 10_000)
    assert stack.quality[0, 0, 60] == 0
    # a saturated one is flagged in its core, and no wider than it is
    assert stack.quality[0, 0, 20] == Pixel.SATURATED
    assert stack.flux[0, 0, 20] == pytest.approx(np.minimum(np.array(factors) * light[0, 20], well).sum())
