"""The summary of a night: to the disk always, by mail where somebody wants it."""

import os
import smtplib
from datetime import timedelta
from email.message import EmailMessage
from importlib.resources import files
from io import BytesIO

import jinja2
import structlog
from sqlalchemy import func, select

from nrespipe.database.columns import State, clock
from nrespipe.database.frames import latest
from nrespipe.database.tables import Frame, FrameDrift, Master, StarVelocity
from nrespipe.errors import Unavailable
from nrespipe.files import identity, layout, starmatch, targets
from nrespipe.frames.nightreport import NightReport
from nrespipe.frames.quality import Quality
from nrespipe.service import plan
from nrespipe.service.outcome import bare

_log = structlog.get_logger(__name__)

#: A summary comes so long after the masters of the night are due, so that its frames can be reduced with them.
_AFTER_MASTERS = timedelta(hours=2)
_RECENT_DAYS = 14

STARS = ("filename", "fiber", "object", "v_mag", "exposure_s", "snr", "rv_ms", "rv_err_ms", "quality")
DRIFTS = ("mid_mjd", "velocity_ms", "velocity_err_ms", "pressure_psi", "temperature_c")


def gather(session, site, day, output):
    """Collect what became of a night.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        An open session.
    site, day : str
        ``lsc``, ``YYYYMMDD``.
    output : Path
        Output directory, where the catalog of stars may lie.

    Returns
    -------
    NightReport

    Raises
    ------
    LookupError
        If no frame of the night is known.
    """
    here = (Frame.site == site, Frame.day == day, latest())
    counts = session.execute(
        select(Frame.kind, Frame.state, func.count()).where(*here).group_by(Frame.kind, Frame.state)
    )
    counts = tuple(sorted((str(kind or "unknown"), str(state), n) for kind, state, n in counts))
    if not counts:
        raise LookupError(f"no frame of {site} {day} is known")
    unhappy = session.scalars(select(Frame).where(*here, Frame.state != State.DONE).order_by(Frame.filename))
    made = session.scalars(select(Master).where(Master.site == site, Master.day == day).order_by(Master.id))
    return NightReport(
        site=site,
        day=day,
        counts=counts,
        unhappy=tuple((frame.filename, str(frame.state), bare(frame.reason, frame.filename)) for frame in unhappy),
        masters=tuple((identity.stem(layout.master_name(m)), str(m.standing), m.n_inputs, m.reason) for m in made),
        stars=_stars(session, here, _catalog(output, site)),
        drifts=_drifts(session, here),
    )


def write(report, output):
    """Write a summary, as a page for a browser and as a document.

    Parameters
    ----------
    report : NightReport
        What to tell.
    output : Path
        Output directory.

    Returns
    -------
    tuple of (Path, Path)
        The page (HTML) and the document (PDF); those that lay there are replaced.
    """
    paths = tuple(layout.summary_path(output, report.site, report.day, suffix) for suffix in (".html", ".pdf"))
    for path, content in zip(paths, (page(report).encode(), document(report)), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        partial.write_bytes(content)
        os.replace(partial, path)
    return paths


def page(report):
    """Return a summary as a page for a browser.

    Parameters
    ----------
    report : NightReport
        What to tell.

    Returns
    -------
    str
        HTML.
    """
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["cell"] = _cell
    template = environment.from_string((files(__package__) / "summary.html").read_text(encoding="utf-8"))
    rows = {
        "stars": [[star[name] for name in STARS] for star in report.stars],
        "drifts": [[drift[name] for name in DRIFTS] for drift in report.drifts],
    }
    return template.render(report=report, stars_head=STARS, drifts_head=DRIFTS, **rows)


def document(report):
    """Return a summary as a document.

    Parameters
    ----------
    report : NightReport
        What to tell.

    Returns
    -------
    bytes
        PDF, always the same for the same report.
    """
    # here, not above: drawing takes a second to load, and most commands draw nothing
    from matplotlib.backends.backend_pdf import PdfPages

    from nrespipe.plots import night

    stream = BytesIO()
    with PdfPages(stream, metadata={"CreationDate": None, "Title": f"{report.site} {report.day}"}) as pdf:
        for figure in night.pages(report):
            pdf.savefig(figure)
    return stream.getvalue()


def mail(report, settings):
    """Send a summary to those who want it.

    Parameters
    ----------
    report : NightReport
        What to tell.
    settings : Settings
        Names recipients, sender, password and mail server.

    Raises
    ------
    Unavailable
        If the mail server does not take it.
    """
    message = EmailMessage()
    message["Subject"] = f"NRES {report.site} {report.day}"
    message["From"], message["To"] = settings.summary_sender, ", ".join(settings.summary_recipients)
    message.set_content("\n".join(f"{kind:10}{state:10}{count:6d}" for kind, state, count in report.counts))
    message.add_alternative(page(report), subtype="html")
    message.add_attachment(
        document(report), maintype="application", subtype="pdf", filename=f"{report.site}_{report.day}.pdf"
    )
    host, _, port = settings.summary_server.partition(":")
    try:
        with smtplib.SMTP(host, int(port or 25), timeout=60) as server:
            server.ehlo()
            if server.has_extn("starttls"):
                server.starttls()
                server.ehlo()
            if password := settings.summary_password.get_secret_value():
                server.login(settings.summary_sender, password)
            server.send_message(message)
    except (OSError, smtplib.SMTPException) as error:
        raise Unavailable(
            f"summary of {report.site} {report.day}: the mail server does not take it: {error}"
        ) from error


def ended(session, assembly):
    """Return the nights that are over, and whose frames nobody works on any more.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        An open session.
    assembly : Assembly
        What to work with.

    Returns
    -------
    list of (str, str)
        Site and day, of the last two weeks: nobody wants mail about the archive.
    """
    moment = clock(session)
    busy = (Frame.owner != "") | Frame.state.in_((State.QUEUED, State.RETRY))
    open_yet = {tuple(row) for row in session.execute(select(Frame.site, Frame.day).where(busy, latest()).distinct())}
    first = f"{moment - timedelta(days=_RECENT_DAYS):%Y%m%d}"
    recent = (Frame.day >= first, Frame.start_mjd.is_not(None), latest())
    nights = set()
    for row in session.execute(select(Frame.site, Frame.day, Frame.instrument).where(*recent).distinct()):
        after = plan.due_after(row, assembly)
        if after is not None and moment > after + _AFTER_MASTERS:
            nights.add((row.site, row.day))
    return sorted(nights - open_yet)


def owed(assembly, nights):
    """Write, and mail, the summaries of nights that have none; two programs at once send one mail.

    Parameters
    ----------
    assembly : Assembly
        What to work with.
    nights : sequence of (str, str)
        Site and day of nights that are over.

    Returns
    -------
    int
        How many were written and, where somebody wants them, mailed.
    """
    written = 0
    for site, day in nights:
        sent = layout.summary_path(assembly.output, site, day, ".sent")
        sent.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.close(os.open(sent, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            continue
        try:
            _summarise(assembly, site, day)
            written += 1
        except Unavailable as error:
            # it lies on the disk, and the next round tries once more
            _log.warning("summary not mailed", site=site, day=day, reason=str(error))
            sent.unlink()
        except Exception:
            # the other nights get theirs
            _log.exception("no summary could be written", site=site, day=day)
            sent.unlink()
        except BaseException:
            sent.unlink()
            raise
    return written


def _summarise(assembly, site, day):
    with assembly.sessions.begin() as session:
        report = gather(session, site, day, assembly.output)
    write(report, assembly.output)
    if assembly.settings.summary_recipients:
        mail(report, assembly.settings)


def _catalog(output, site):
    """Return the stars that a site knows; none where its catalog is damaged: only their magnitudes are wanted."""
    try:
        return targets.read(targets.in_use(output, site))
    except (OSError, ValueError) as error:
        _log.warning("a summary without magnitudes", site=site, reason=str(error))
        return ()


def _stars(session, here, catalog):
    query = select(Frame, StarVelocity).join(StarVelocity.frame).where(*here, Frame.state == State.DONE)
    found = []
    for frame, star in session.execute(query.order_by(Frame.start_mjd, Frame.filename, StarVelocity.fiber)):
        known = starmatch.match(catalog, star.object, None, None, None)
        row = {name: getattr(star, name) for name in ("fiber", "object", "snr", "rv_ms", "rv_err_ms")}
        row |= {"filename": frame.filename, "exposure_s": frame.exposure_s, "v_mag": known.v_mag if known else None}
        found.append(row | {"quality": Quality(star.quality).names()})
    return tuple(found)


def _drifts(session, here):
    query = select(FrameDrift).join(FrameDrift.frame).where(*here, Frame.state == State.DONE)
    rows = session.scalars(query.order_by(FrameDrift.mid_mjd))
    return tuple({name: getattr(row, name) for name in DRIFTS} for row in rows)


def _cell(value):
    if value is None:
        return "-"
    if isinstance(value, list | tuple):
        return " ".join(value)
    return f"{value:.2f}" if isinstance(value, float) else str(value)
