"""What a master says about its inputs."""

import numpy as np

from nrespipe.frames.masters import Origin


def origin_of(kind, frames, quality):
    """Describe the inputs of a master.

    Parameters
    ----------
    kind : Kind
        What the master calibrates.
    frames : sequence of RawFrame
        Its inputs, all of one camera.
    quality : Quality
        Doubts.

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
