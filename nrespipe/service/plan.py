"""What is owed: which masters are to be made, and when."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import or_, select

from nrespipe.database import calibrations, stackings
from nrespipe.database.columns import State, clock
from nrespipe.database.frames import latest
from nrespipe.database.tables import Frame


def owe(session, frame, assembly):
    """Write down that the night of a calibration owes a master, if its kind has any.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        An open session; the caller commits.
    frame : Frame
        A calibration that is done.
    assembly : Assembly
        What to work with.

    Notes
    -----
    A master is made when the night is over (and the delay of the settings has passed); but where no other serves the
    frames of this camera, as soon as the sequence is complete. Each frame that comes later puts it off or asks for it
    once more. There is one row for each kind and night, whoever asks and however often.
    """
    if not hasattr(assembly.recipes[frame.kind], "combine"):
        return
    row = stackings.of(session, frame.kind, calibrations.night_of(frame))
    moment, after_night = clock(session), due_after(frame, assembly)
    pace = assembly.pace
    when = moment + timedelta(seconds=pace.quiet_s if moment < after_night else pace.past_s)
    if calibrations.nearest(session, frame.kind, frame) is not None:
        when = max(when, after_night)
    row.next_try = when


def due_after(frame, assembly):
    """Return when the masters of a night are made.

    Parameters
    ----------
    frame : Frame
        Of the night.
    assembly : Assembly
        Whose settings tell the delay.

    Returns
    -------
    datetime
        End of the night, when the robot of the site begins a new one, and the delay [UTC].
    """
    begins = datetime.strptime(frame.day, "%Y%m%d").replace(tzinfo=UTC)
    restart_hour = assembly.spectrographs(frame.instrument).restart_hour_utc
    return begins + timedelta(hours=24 + restart_hour + assembly.settings.stack_delay_h)


def is_ripe(session, stacking):
    """Tell whether all frames of a night that may enter its master have been tried.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        An open session.
    stacking : Stacking
        The master that is owed.

    Returns
    -------
    bool
    """
    night = stackings.night_of(stacking)
    same = [getattr(Frame, name) == value for name, value in night._asdict().items()]
    open_yet = or_(Frame.owner != "", Frame.state == State.QUEUED, Frame.next_try <= clock(session))
    query = select(Frame.id).where(Frame.kind == stacking.kind, *same, latest(), open_yet)
    return session.scalar(query.limit(1)) is None


def owe_all(session, assembly):
    """Write down all that the nights of the database owe and nobody has written down.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        An open session; the caller commits.
    assembly : Assembly
        What to work with.

    Returns
    -------
    int
        How many nights and kinds that are. None of those whose last master was made, or tried, of all frames that are
        good now: whoever calls this often changes nothing.
    """
    owed = 0
    for kind, recipe in assembly.recipes.items():
        if not hasattr(recipe, "combine"):
            continue
        for night, inputs in calibrations.inputs(session, kind).items():
            row = stackings.of(session, kind, night)
            if row.next_try is None and len(inputs) >= recipe.MINIMUM and _is_news(session, kind, night, inputs):
                owe(session, inputs[0], assembly)
                owed += 1
    return owed


def _is_news(session, kind, night, inputs):
    """Whether there are frames that came after the last master of a night was made or tried."""
    last = calibrations.last(session, kind, night)
    return last is None or any(frame.updated > last.created for frame in inputs)
