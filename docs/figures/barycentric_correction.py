"""Time and barycentric motion."""

import numpy as np

from figures import figure, style
from nrespipe import instruments
from nrespipe.engine.velocity import barycenter
from nrespipe.frames.raw import Kind, RawFrame, Section
from nrespipe.simulator import observing_conditions, stars

_SEED, _START_MJD, _EXPOSURE_S = 51, 58578.2, 1800.0


@figure()
def midpoint():
    """Show the light of an exposure through clouds with its midpoint, and the velocity of the Earth during it.

    Returns
    -------
    matplotlib.figure.Figure
    """
    nres, star = instruments.load("nres01"), stars.target("HD102365").star
    rng = np.random.default_rng(_SEED)
    seen = observing_conditions.clouds(rng, _EXPOSURE_S)
    meter = observing_conditions.meter(rng, _START_MJD, {0: seen}, {0: 4000.0})
    frame = _frame(meter)
    found, _ = barycenter.midpoint(frame, 0, nres.fibers)
    true = observing_conditions.see(nres, star, _START_MJD, _EXPOSURE_S, seen)
    result, (light, motion) = style.panels(1, 2, 2.7)
    seconds = (meter.start_mjd - _START_MJD) * 86400
    light.step(seconds, meter.counts[:, 2], where="post", color=style.GREY, lw=0.9)
    light.axvspan(0, _EXPOSURE_S, color=style.GREEN, alpha=0.12, lw=0)
    times = np.linspace(0, _EXPOSURE_S, 25)
    berv = np.array([barycenter.at(star, _START_MJD + t / 86400, nres).berv_ms for t in times])
    motion.plot(times, berv - true.berv_ms, color=style.GREY)
    for mjd, color, name in (
        (_START_MJD + _EXPOSURE_S / 2 / 86400, style.VERMILION, "middle of the exposure"),
        (found, style.BLUE, "middle of the light"),
    ):
        second = (mjd - _START_MJD) * 86400
        value = barycenter.at(star, mjd, nres).berv_ms - true.berv_ms
        light.axvline(second, color=color, label=name)
        motion.plot(second, value, "o", ms=5, color=color, label=f"{name}: {value:+.2f} m/s")
    light.set(ylim=(0, 1.1 * meter.counts[:, 2].max()))
    light.legend(loc="upper center", ncols=2, bbox_to_anchor=(0.5, 1.16), columnspacing=0.8, handlelength=1)
    motion.axhline(0, color=style.GREY, lw=0.8)
    motion.legend(loc="lower left")
    style.label(light, "time since the shutter opened [s]", "exposure meter [ADU]")
    style.label(motion, "time since the shutter opened [s]", "correction − truth [m/s]")
    return result


def _frame(meter):
    blank, whole = np.zeros((1, 2), np.float32), Section(0, 1, 0, 1)
    return RawFrame(
        filename="lscnrs01-fa09-20190405-0001-e00",
        kind=Kind.SCIENCE,
        site="lsc",
        instrument="nres01",
        camera="fa09",
        day="20190405",
        start_mjd=_START_MJD,
        exposure_s=_EXPOSURE_S,
        objects=("HD102365", "thar", "none"),
        adu=blank,
        bias_section=whole,
        data_section=whole,
        meter=meter,
    )
