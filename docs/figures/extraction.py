"""Extraction and cosmic rays."""

import numpy as np

from figures import figure, style
from nrespipe.engine.extraction import line_tilt
from nrespipe.engine.orders import kernel_layout
from nrespipe.frames.quality import Pixel
from nrespipe.numerics import background_surface, column_fit_kernels, tilt_kernels


@figure("star")
def cosmic_rays(night):
    """Show a cosmic ray in the spectrum of a star: the pixels, the model, and the residuals.

    Parameters
    ----------
    night : Night
        Simulated frames.

    Returns
    -------
    matplotlib.figure.Figure
    """
    image, spectra = night.star_clean, night.star_spectra
    y, x = _hit(night)
    piece = slice(y - 14, y + 15), slice(x - 22, x + 23)
    model = _model(night)
    noise = np.sqrt(image.floor_variance + np.maximum(model, 0))
    edges = (x - 22.5, x + 22.5, y - 14.5, y + 14.5)
    result, parts = style.panels(1, 3, 2.5, sharey=True)
    top = np.percentile(model[piece], 99.5)
    shown = (
        ("data [electron]", image.electrons[piece], {"vmin": -0.05 * top, "vmax": 1.2 * top}),
        ("model [electron]", model[piece], {"vmin": -0.05 * top, "vmax": 1.2 * top}),
        (
            "(data − model) / σ",
            ((image.electrons - model) / noise)[piece],
            {"vmin": -5, "vmax": 5, "cmap": "RdBu_r"},
        ),
    )
    for axes, (name, values, options) in zip(parts, shown):
        result.colorbar(axes.imshow(values, extent=edges, **options), ax=axes, label=name, location="top", shrink=0.85)
        axes.set_xlabel("column [pixel]")
    rejected = spectra.rejected
    near = (np.abs(rejected[:, 0] - y) < 14) & (np.abs(rejected[:, 1] - x) < 22)
    parts[2].plot(rejected[near, 1], rejected[near, 0], "x", ms=3.5, mew=0.8, color="black")
    parts[0].set_ylabel("row [pixel]")
    return result


@figure("star")
def pulls(night):
    """Show a piece of the extracted star beside the truth, and all errors in units of those claimed.

    Parameters
    ----------
    night : Night
        Simulated frames.

    Returns
    -------
    matplotlib.figure.Figure
    """
    flux, variance, quality, _ = night.star_spectra.of(0)
    true = night.star.truth.flux[0, night.star_spectra.orders - night.star.truth.orders[0]]
    result, (piece, errors) = style.panels(1, 2, 2.6, width_ratios=(1.7, 1))
    row, x = int(np.flatnonzero(night.star_spectra.orders == 96)[0]), np.arange(1900, 2060)
    light, error, flagged = flux[row, x], np.sqrt(variance[row, x]), quality[row, x] > 0
    piece.fill_between(x, light - error, light + error, color=style.BLUE, alpha=0.35, lw=0, step="mid")
    piece.step(x, light, where="mid", color=style.BLUE, lw=0.9, label="extracted, with its error")
    piece.plot(x, true[row, x], color=style.VERMILION, lw=0.9, label="truth")
    if flagged.any():
        piece.plot(x[flagged], light[flagged], "x", ms=5, color=style.GREY, label="flagged")
    piece.set_ylim(0, 1.3 * np.nanmax(flux[row, x]))
    piece.legend(loc="upper right", ncols=3)
    style.label(piece, "column [pixel]", "flux [electron]", "fiber 0, order 96")
    good = (quality & ~np.uint8(Pixel.COSMIC) == 0) & np.isfinite(flux)
    _histogram(errors, ((flux - true) / np.sqrt(variance))[good])
    return result


def _histogram(axes, values):
    edges = np.linspace(-8, 8, 81)
    middle = (edges[1:] + edges[:-1]) / 2
    low, center, high = np.percentile(values, (15.87, 50, 84.13))
    name = f"median {center:+.2f},\nwidth {(high - low) / 2:.2f}"
    axes.stairs(
        np.histogram(values, edges)[0] / len(values) / (edges[1] - edges[0]), edges, color=style.BLUE, label=name
    )
    axes.plot(middle, np.exp(-(middle**2) / 2) / np.sqrt(2 * np.pi), "--", color=style.VERMILION, label="unit Gaussian")
    axes.set(yscale="log", ylim=(3e-6, 60))
    axes.legend(loc="upper right")
    style.label(axes, "(extracted − truth) / error", "density", "all pixels of the star")


def _hit(night):
    """Row and column of the longest cosmic ray in the light of the star."""
    spectra, centers = night.star_spectra, night.star_place[0].centers[0]
    hits = spectra.rejected.astype(int)
    hits = hits[(hits[:, 1] > 600) & (hits[:, 1] < 3400)]
    tracks = []
    for center in centers[(spectra.orders > 65) & (spectra.orders < 100)]:
        near = hits[np.abs(hits[:, 0] - center[hits[:, 1]]) < 5]
        pieces = [near[near[:, 1] // 16 == piece] for piece in np.unique(near[:, 1] // 16)]
        tracks += [(len(np.unique(piece[:, 1])), *np.round(piece.mean(axis=0)).astype(int)) for piece in pieces]
    return max(tracks)[1:]


def _model(night):
    """The light of the extracted spectra on the detector [electron]."""
    refs, traces, lit = night.references, night.star_place[0], night.star.raw.lit_fibers
    laid = kernel_layout.lay_out(night.star_clean, traces, refs.flat, lit)
    shares, first = column_fit_kernels.shares_of(laid.response, laid.centers, laid.tables, *laid.grid)
    flux = laid.sort(night.star_spectra.flux)
    lean, bend = (laid.sort(values) for values in line_tilt.per_pixel(refs.arc.slant, traces, lit))
    model = tilt_kernels.displaced(laid.data.shape[1], shares, first, laid.centers, flux, lean, bend)
    light = np.ascontiguousarray(flux.T)
    background_surface.add_wings(
        model, laid.centers, light, refs.flat.profile.wings, refs.flat.profile.distances[1], laid.grid[-1]
    )
    x = np.arange(len(model))
    for k, light in enumerate(np.nan_to_num(flux)):
        for j in range(shares.shape[2]):
            y = first[:, k] + j
            inside = (first[:, k] >= 0) & (y < model.shape[1])
            model[x[inside], y[inside]] += light[inside] * shares[inside, k, j]
    return model.T
