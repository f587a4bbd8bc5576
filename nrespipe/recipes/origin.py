"""Describes a master by its inputs."""

from collections.abc import Sequence

import numpy as np

from nrespipe.frames.masters import Origin
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind, RawFrame


def origin_of(kind: Kind, frames: Sequence[RawFrame], quality: Quality) -> Origin:
    """Return the origin of a master: kind, camera, night and inputs.

    Parameters
    ----------
    frames
        Its inputs, all of one camera.

    Returns
    -------
    Origin
        Day and camera of the first frame, mean of the start times.
    """
    first = min(frames, key=lambda raw: raw.start_mjd)
    return Origin(
        kind=kind,
        site=first.site,
        instrument=first.instrument,
        camera=first.camera,
        day=first.day,
        mean_mjd=float(np.mean([raw.start_mjd for raw in frames])),
        inputs=tuple(sorted(raw.filename for raw in frames)),
        quality=quality,
        readout_mode=first.readout_mode,
    )
