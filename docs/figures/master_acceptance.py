"""Judging masters."""

from dataclasses import replace

import numpy as np

from figures import figure, style
from nrespipe.engine.acceptance import master_checks
from nrespipe.frames.judgement import Verdict

_COLORS = {Verdict.ACCEPTED: style.GREEN, Verdict.FLAGGED: style.ORANGE, Verdict.REVIEW: style.VERMILION}


@figure("flats")
def findings(night):
    """Show the findings about a flat whose orders have moved by nothing, a little, and too much.

    Parameters
    ----------
    night : Night
        Simulated frames.

    Returns
    -------
    matplotlib.figure.Figure
    """
    flat = night.references.flat
    result, panels = style.panels(1, 3, 3.4, sharey=True)
    for axes, shift in zip(panels, (0.0, 0.7, 3.0)):
        moved = replace(flat, traces=replace(flat.traces, centers=flat.traces.centers + shift))
        judged = master_checks.judge(moved, flat, night.bench.spectrograph)
        share = [abs(f.value) / max(f.worst, 1e-12) for f in judged.findings]
        place = np.arange(len(share))
        axes.barh(place, np.minimum(share, 2), color=[_COLORS[f.verdict] for f in judged.findings])
        axes.scatter([f.usual / f.worst for f in judged.findings], place, marker="|", color=style.GREY, s=40)
        axes.axvline(1, color=style.GREY, lw=0.9)
        axes.set_yticks(place, [f.name for f in judged.findings])
        axes.set(xlim=(0, 2))
        style.label(axes, "number / limit of review", "", f"moved by {shift:g} px: {judged.verdict}")
    panels[0].invert_yaxis()
    return result
