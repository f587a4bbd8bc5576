"""Panels of the spectrum of a star around lines that people look at, and of the model that was fitted to it."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nrespipe import data, doppler
from nrespipe.engine.spectrum import continuum
from nrespipe.engine.star import activity
from nrespipe.engine.velocity import fitted_model
from nrespipe.frames.arrays import Booleans, Floats, Integers
from nrespipe.frames.spectra import Spectra
from nrespipe.frames.velocity import Velocity
from nrespipe.frames.wavelength import LineShape, Wavelengths
from nrespipe.plots import page

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Region(NamedTuple):
    """Part of a spectrum; wavelengths are vacuum, at rest [angstrom].

    Attributes
    ----------
    title
        Name of its lines.
    start, end
        Its range.
    lines
        Name and wavelength of each line that is marked.
    """

    title: str
    start: float
    end: float
    lines: tuple[tuple[str, float], ...]


#: Wavelengths of the lines: air wavelengths of the NIST Atomic Spectra Database, converted to vacuum.
REGIONS = (
    Region("Ca II H and K", 3925.0, 3980.0, (("K", 3934.777), ("H", 3969.591))),
    Region("H beta", 4852.0, 4874.0, (("H beta", 4862.683),)),
    Region("Mg b", 5160.0, 5192.0, (("b4", 5168.761), ("b2", 5174.125), ("b1", 5185.048))),
    Region("Na D", 5884.0, 5905.0, (("D2", 5891.583), ("D1", 5897.558))),
    Region("H alpha", 6549.0, 6584.0, (("H alpha", 6564.614),)),
    Region("Li", 6700.0, 6720.0, (("Li I", 6709.7), ("Ca I", 6719.54))),
)
MG_B = REGIONS[2]

#: Pixels where the lamp is fainter than this share of its peak are not drawn: the next order shows them better.
_FAINTEST = 0.25
#: Share of a region that an order covers which is drawn alone.
_WHOLE = 0.97
#: Signal-to-noise ratio per pixel below which means of pixels are drawn over them.
_NOISY = 40.0
#: Signal-to-noise ratio that these means have, if they need not more than 16 pixels for it.
_SMOOTH = 25.0


def covering(region: Region, spectra: Spectra, angstrom: Floats, shift: float) -> Integers:
    """Return the indices of the orders that show a part of a region.

    Parameters
    ----------
    angstrom : shape (n_orders, n_pixels)
        Wavelengths of the fiber, observatory frame [angstrom].
    shift
        Observed wavelength of the star over that at rest.
    """
    low, high = np.nanmin(angstrom, axis=1), np.nanmax(angstrom, axis=1)
    return np.flatnonzero((low < region.end * shift) & (high > region.start * shift))


def draw(
    axes: "Axes", region: Region, spectra: Spectra, wavelengths: Wavelengths, fiber: int, velocity: Velocity | None
) -> None:
    """Draw a region of the spectrum in the frame of the star, with bands of activity and telluric intervals.

    Parameters
    ----------
    wavelengths
        Of the same fibers, orders and pixels.
    velocity
        Of the star; without one the wavelengths are those of the observatory.
    """
    known = velocity is not None and np.isfinite(velocity.rv_ms)
    shift = float(doppler.seen(velocity.rv_ms, velocity.barycentric.berv_ms)) if known and velocity else 1.0
    angstrom = wavelengths.vacuum_angstrom[wavelengths.fibers.index(fiber)]
    rows = covering(region, spectra, angstrom, shift)
    flux, variance, quality, blaze = (array[rows] for array in spectra.of(fiber))
    light, noise, good = continuum.above_blaze(flux, variance, quality, blaze, faintest=_FAINTEST)
    at_rest = angstrom[rows] / shift
    good &= (at_rest > region.start) & (at_rest < region.end)
    good &= _complete(region, at_rest, good)[:, None]
    signal = float(np.median(light[good] / np.sqrt(noise[good]))) if good.sum() > 20 else 0.0
    name = f"{region.title}, S/N {signal:.0f} per pixel{_index(region, velocity)}"
    frame = "at rest" if known else "as observed"
    page.label(axes, f"vacuum wavelength {frame} [\u00c5]", "relative flux", name)
    axes.set_xlim(region.start, region.end)
    axes.locator_params(axis="x", integer=True, nbins=8)
    _shades(axes, region, shift)
    if signal <= 0:
        page.empty(axes, "no light")
        return
    level = float(np.percentile(light[good], 90))
    size = 1 if signal > _NOISY else int(np.clip(np.ceil((_SMOOTH / signal) ** 2), 2, 16))
    for x, y, used in zip(at_rest, light / level, good):
        if used.any():
            inside = slice(np.argmax(used), len(used) - np.argmax(used[::-1]))
            x, y = x[inside], np.where(used, y, np.nan)[inside]
            axes.plot(x, y, lw=0.5, color="black" if size == 1 else "0.75", zorder=2)
            if size > 1:
                axes.plot(*_means(x, y, size), lw=0.8, color="black", drawstyle="steps-mid", zorder=3)
    top = 1.25 if signal > _NOISY else 1.25 + min(2.5 / signal, 1.5)
    axes.set_ylim(min(0.0, 1.25 - top), top)


def _complete(region: Region, at_rest: Floats, good: Booleans) -> Booleans:
    """Return which orders to draw: one that shows all of a region, or all that show a part of it."""
    first = np.where(good, at_rest, np.inf).min(axis=1, initial=np.inf)
    last = np.where(good, at_rest, -np.inf).max(axis=1, initial=-np.inf)
    share = (last - first) / (region.end - region.start)
    one = np.zeros(len(share), bool)
    if len(share) and share.max() > _WHOLE:
        one[np.argmax(np.where(share > _WHOLE, good.sum(axis=1), 0))] = True
        return one
    return ~one


def _means(x: Floats, y: Floats, size: int) -> tuple[Floats, Floats]:
    n = len(x) // size * size
    values = y[:n].reshape(-1, size)
    count = np.isfinite(values).sum(axis=1)
    mean = np.where(count > 0, np.nansum(values, axis=1) / np.maximum(count, 1), np.nan)
    return x[:n].reshape(-1, size).mean(axis=1), mean


def _index(region: Region, velocity: Velocity | None) -> str:
    """Return the activity index whose lines lie in a region."""
    wanted = {"Ca II H and K": ("s_index", "S"), "H alpha": ("h_alpha", "index"), "Na D": ("na_d", "index")}
    if velocity is None or region.title not in wanted:
        return ""
    name, short = wanted[region.title]
    found = next((index for index in velocity.activity if index.name == name), None)
    if found is None:
        return ""
    if not np.isfinite(found.value):
        return f"; no {short} index: {found.reason}".replace("index index", "index")
    return f", {short} {found.value:.4f} \u00b1 {found.error:.4f}"


def _shades(axes: "Axes", region: Region, shift: float) -> None:
    """Draw marks of lines, bands of the activity indices, and intervals that the atmosphere absorbs."""
    tellurics = data.tellurics()
    low, high = tellurics.start_angstrom / shift, tellurics.end_angstrom / shift
    here = (low < region.end) & (high > region.start)
    intervals = list(zip(low[here], (high - low)[here]))
    axes.broken_barh(intervals, (0, 1), transform=axes.get_xaxis_transform(), fc="0.9", lw=0, zorder=0)
    for _, lines, references, _ in activity.INDICES:
        for bands, color in ((lines, page.COLORS[1]), (references, page.COLORS[0])):
            for band in dict.fromkeys(bands):
                _band(axes, band, region, color)
    for name, place in region.lines:
        axes.axvline(place, lw=0.6, ls=":", color="0.3", zorder=1)
        axes.text(
            place, 0.985, name, transform=axes.get_xaxis_transform(), ha="center", va="top", fontsize=6.5,
            bbox={"fc": "white", "ec": "none", "pad": 0.8},
        )  # fmt: skip


def _band(axes: "Axes", band: activity.Band, region: Region, color: str) -> None:
    ends = band.center_angstrom - band.reach_angstrom, band.center_angstrom + band.reach_angstrom
    if ends[0] < region.end and ends[1] > region.start:
        axes.plot(ends, (0.02, 0.02), lw=3, color=color, transform=axes.get_xaxis_transform(), solid_capstyle="butt")


def draw_fitted(
    upper: "Axes",
    lower: "Axes",
    region: Region,
    spectra: Spectra,
    wavelengths: Wavelengths,
    line_shape: LineShape,
    velocity: Velocity,
) -> None:
    """Draw a region with the model that the velocity was fitted with, and the residual.

    Parameters
    ----------
    upper, lower
        Panels of the spectrum and of the residual, with the same wavelengths.
    wavelengths
        Of the same fibers, orders and pixels.
    line_shape
        Of the master arc.
    """
    title = f"{region.title}: spectrum (black) and the lines of mask {velocity.mask} as fitted (color)"
    page.label(upper, "", "flux / continuum", title)
    page.label(lower, "vacuum wavelength at rest [\u00c5]", "residual", "")
    lower.set_xlim(region.start, region.end)
    upper.set_xlim(region.start, region.end)
    fitted = _fitted(region, spectra, wavelengths, line_shape, velocity)
    if fitted is None:
        page.empty(upper, "no model: the star has no velocity")
        return
    shift = float(doppler.seen(velocity.rv_ms, velocity.barycentric.berv_ms))
    _shades(upper, region, shift)
    scatter = []
    lower.axhline(0, lw=0.5, color="0.5")
    at_rest = fitted.vacuum_angstrom / shift
    within = (at_rest > region.start) & (at_rest < region.end)
    shown = _complete(region, at_rest, within & np.isfinite(fitted.flux))
    for i in np.flatnonzero(shown):
        x, inside, flux, error, model = at_rest[i], within[i], fitted.flux[i], fitted.error[i], fitted.model[i]
        if np.isfinite(flux[inside]).any():
            upper.plot(x[inside], flux[inside], lw=0.6, color="black", zorder=2)
            upper.plot(x[inside], model[inside], lw=0.8, color=page.COLORS[1], zorder=3)
            lower.plot(x[inside], (flux - model)[inside], lw=0.5, color="0.25")
            scatter.append(((flux - model)[inside], error[inside]))
    residual, error = np.concatenate(scatter, axis=1) if scatter else np.full((2, 1), np.nan)
    if np.isfinite(residual).any():
        off, noise = float(np.nanstd(residual)), float(np.sqrt(np.nanmean(error**2)))
        lower.set_ylim(-4 * max(off, noise), 4 * max(off, noise))
        told = f"scatter {off:.3f}, of it noise {noise:.3f}"
        paper = {"fc": "white", "ec": "none", "pad": 1}
        lower.text(0.997, 0.95, told, transform=lower.transAxes, ha="right", va="top", fontsize=6.5, bbox=paper)
        upper.set_ylim(min(-0.02, -2 * noise), 1.15 + min(3 * noise, 1.0))


def _fitted(
    region: Region, spectra: Spectra, wavelengths: Wavelengths, line_shape: LineShape, velocity: Velocity
) -> fitted_model.FittedModel | None:
    if not np.isfinite(velocity.rv_ms):
        return None
    shift = float(doppler.seen(velocity.rv_ms, velocity.barycentric.berv_ms))
    rows = covering(region, spectra, wavelengths.vacuum_angstrom[wavelengths.fibers.index(velocity.fiber)], shift)
    mask = data.stellar_lines(velocity.mask)
    return fitted_model.of_orders(spectra, wavelengths, line_shape, velocity, mask, spectra.orders[rows])
