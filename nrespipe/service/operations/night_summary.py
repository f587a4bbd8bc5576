"""The summary of a night: written to the disk always, mailed where recipients are set."""

import smtplib
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import jinja2
import structlog
from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.orm import Session

from nrespipe.database.dialects import clock, insert
from nrespipe.database.frames import of_nights
from nrespipe.database.states import State
from nrespipe.database.tables import Frame, FrameDrift, Master, NightSummary, StarVelocity
from nrespipe.errors import Unavailable
from nrespipe.files import layout
from nrespipe.files.atomic_files import replacing
from nrespipe.files.catalog import star_match, targets
from nrespipe.files.raw import identity
from nrespipe.files.raw.identity import without_name as bare
from nrespipe.frames.quality import Quality
from nrespipe.frames.reports import NightReport
from nrespipe.service.masters import master_schedule

if TYPE_CHECKING:
    from nrespipe.frames.star import Star
    from nrespipe.service.assembly import Assembly
    from nrespipe.settings import Settings

_log = structlog.get_logger(__name__)

#: A summary comes so long after the masters of the night are due, so that its frames can be reduced with them.
_AFTER_MASTERS = timedelta(hours=2)
_RECENT_DAYS = 14
#: A mail server that is silent for so long is away [second].
_PATIENCE_S = 15.0
#: Port of SMTP within TLS from the first byte on.
_SMTPS = 465
_SMTP = 25

STARS = ("filename", "fiber", "object", "v_mag", "exposure_s", "snr", "rv_ms", "rv_err_ms", "quality")
DRIFTS = ("mid_mjd", "velocity_ms", "velocity_err_ms", "pressure_psi", "temperature_c")


class SummaryFiles(NamedTuple):
    """Files of a summary.

    Attributes
    ----------
    page
        HTML.
    document
        PDF.
    """

    page: Path
    document: Path


def gather(session: Session, site: str, day: str, output: Path) -> NightReport:
    """Collect the frames, masters, stars and drifts of a night.

    Parameters
    ----------
    site, day
        ``lsc``, ``YYYYMMDD``.
    output
        Output directory, where a catalog of stars may be deployed.

    Raises
    ------
    LookupError
        If no frame of the night is known.
    """
    here = (Frame.site == site, Frame.day == day, Frame.is_latest())
    numbers = select(Frame.kind, Frame.state, func.count()).where(*here).group_by(Frame.kind, Frame.state)
    counts = tuple(sorted((str(kind or "unknown"), str(state), n) for kind, state, n in session.execute(numbers)))
    if not counts:
        raise LookupError(f"no frame of {site} {day} is known; check the site and the day, or submit its frames")
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


def write(report: NightReport, output: Path) -> SummaryFiles:
    """Write a summary as a page for a browser and as a document; earlier ones are replaced."""
    paths = _paths(output, report.site, report.day)
    for path, content in zip(paths, (page(report).encode(), document(report)), strict=True):
        with replacing(path) as partial:
            partial.write_bytes(content)
    return paths


def _paths(output: Path, site: str, day: str) -> SummaryFiles:
    return SummaryFiles(*(layout.summary_path(output, site, day, suffix) for suffix in (".html", ".pdf")))


def page(report: NightReport) -> str:
    """Return a summary as a page for a browser.

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


def document(report: NightReport) -> bytes:
    """Return a summary as a document.

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


def send(report: NightReport, paths: SummaryFiles, settings: "Settings", message_id: str = "") -> str:
    """Mail a summary to its recipients.

    Parameters
    ----------
    paths
        As `write` returned them.
    settings
        They name recipients, sender, password and mail server.
    message_id
        Name of the message, by which a mail server recognizes one that comes twice; a new one if not given.

    Returns
    -------
    str
        Which recipients the mail server does not know; '' where it takes the summary for all.

    Raises
    ------
    Unavailable
        If the mail server does not take it.
    """
    message = EmailMessage()
    message["Subject"] = f"NRES {report.site} {report.day}"
    message["From"], message["To"] = settings.summary_sender, ", ".join(settings.summary_recipients)
    message["Date"] = formatdate()
    message["Message-ID"] = message_id or make_msgid(domain=settings.summary_sender.rpartition("@")[2])
    message.set_content("\n".join(f"{kind:10}{state:10}{count:6d}" for kind, state, count in report.counts))
    message.add_alternative(paths.page.read_text(encoding="utf-8"), subtype="html")
    content = paths.document.read_bytes()
    message.add_attachment(content, maintype="application", subtype="pdf", filename=f"{report.site}_{report.day}.pdf")
    return send_message(message, settings)


def send_message(message: EmailMessage, settings: "Settings") -> str:
    """Hand a message over to the mail server, over verified TLS wherever a password goes with it.

    Parameters
    ----------
    settings
        They name the server, the sender and the password.

    Returns
    -------
    str
        Which recipients the server does not know, with its answers; '' where it takes the message for all.

    Raises
    ------
    Unavailable
        If the server takes it for no recipient, or the password would not be safe.
    """
    try:
        with _server(settings) as server:
            refused = server.send_message(message)
    except smtplib.SMTPRecipientsRefused as error:
        raise Unavailable(f"the mail server knows no recipient: {_of_recipients(error.recipients)}") from error
    except smtplib.SMTPResponseException as error:
        raise Unavailable(f"the mail server answers {_line(error.smtp_code, error.smtp_error)}") from error
    except (OSError, smtplib.SMTPException) as error:
        words = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise Unavailable(f"the mail server {settings.summary_server} does not take the message: {words}") from error
    return _of_recipients(refused)


@contextmanager
def _server(settings: "Settings") -> Iterator[smtplib.SMTP]:
    """Connect to the server and log in."""
    place = urlsplit(f"//{settings.summary_server}")
    host, port = place.hostname or "", place.port or _SMTP
    password, verified = settings.summary_password.get_secret_value(), ssl.create_default_context()
    if port == _SMTPS:
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=_PATIENCE_S, context=verified)
    else:
        server = smtplib.SMTP(host, port, timeout=_PATIENCE_S)
    with server:
        server.ehlo()
        if port != _SMTPS and server.has_extn("starttls"):
            # the library's own context believes any certificate: better than none, where nothing is secret
            server.starttls(context=verified if password else None)
            server.ehlo()
        elif port != _SMTPS and password:
            raise Unavailable(
                f"the mail server {settings.summary_server} offers no TLS: the password is not sent; "
                "expected STARTTLS, or port 465"
            )
        if password:
            server.login(settings.summary_sender, password)
        yield server


def _of_recipients(refused: dict[str, tuple[int, bytes]]) -> str:
    return "; ".join(f"{who}: {_line(*answer)}" for who, answer in sorted(refused.items()))


def _line(code: int, text: bytes | str) -> str:
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    return f"{code} {' '.join(text.split())[:200]}"


def finished_nights(session: Session, assembly: "Assembly") -> list[tuple[str, str]]:
    """Return the nights that are over and whose frames are all settled.

    Returns
    -------
    list of (str, str)
        Site and day, of the last two weeks: no mail is sent about the archive.
    """
    moment = clock(session)
    # what was announced and never came has no version: the summary does not wait a day and a half for it
    tried_again = (Frame.state == State.RETRY) & Frame.version.is_not(None)
    busy = (Frame.owner != "") | (Frame.state == State.QUEUED) | tried_again
    recent = (*of_nights(Frame, "", first_recent_night(moment)), Frame.is_latest())
    columns = (Frame.site, Frame.day, Frame.instrument)
    is_busy, last_mjd = func.max(case((busy, 1), else_=0)).label("is_busy"), func.max(Frame.start_mjd).label("last_mjd")
    known = select(*columns, is_busy, last_mjd).where(*recent).group_by(*columns)
    open_yet: set[tuple[str, str]] = set()
    ends: dict[tuple[str, str], datetime] = {}
    for row in session.execute(known):
        open_yet |= {(row.site, row.day)} if row.is_busy else set()
        # a night of an unknown spectrograph has no end: the others of the site have theirs
        end = None if row.last_mjd is None else master_schedule.due_after(row.instrument, row.day, assembly)
        if end is not None:
            ends[row.site, row.day] = max(end, ends.get((row.site, row.day), end))
    return sorted(night for night, end in ends.items() if night not in open_yet and moment > end + _AFTER_MASTERS)


def first_recent_night(moment: datetime) -> str:
    """Return the first night, ``YYYYMMDD``, whose summary is mailed."""
    return f"{moment - timedelta(days=_RECENT_DAYS):%Y%m%d}"


def schedule(assembly: "Assembly") -> int:
    """Schedule the summaries of nights that are over; two programs at once make one row of each.

    Returns
    -------
    int
        How many were not scheduled yet.
    """
    with assembly.readers.begin() as session:
        moment = clock(session)
        rows = select(NightSummary.site, NightSummary.day).where(NightSummary.day >= first_recent_night(moment))
        known = {(site, day) for site, day in session.execute(rows)}
        nights = [night for night in finished_nights(session, assembly) if night not in known]
    # not within a transaction, which a disk may hold up; an earlier version marked the nights that it had mailed
    mailed = {night for night in nights if layout.summary_path(assembly.output, *night, ".sent").exists()}
    with assembly.sessions.begin() as session:
        for site, day in nights:
            values = {"site": site, "day": day, "next_try": None if (site, day) in mailed else clock(session)}
            session.execute(insert(session, NightSummary).values(values).on_conflict_do_nothing())
    return len(nights)


def make(assembly: "Assembly", site: str, day: str, is_written: bool = False) -> str | Unavailable | None:
    """Write the summary of a night, and mail it where recipients are set.

    Parameters
    ----------
    site, day
        ``lsc``, ``YYYYMMDD``.
    is_written
        Whether it is on the disk: it is mailed as it is then, and not drawn once more.

    Returns
    -------
    str, Unavailable or None
        Which recipients the mail server does not know, '' where it takes the message for all; the error where it takes
        it for none; None where no recipients are set. The summary is on the disk in any case.

    Raises
    ------
    LookupError
        If no frame of the night is known.

    Notes
    -----
    A process that is killed between the answer of the mail server and the record of it sends the message once more,
    with the same ``Message-ID``, by which a mail server may recognize it. No mail is lost.
    """
    with assembly.readers.begin() as session:
        report = gather(session, site, day, assembly.output)
    paths = _paths(assembly.output, site, day)
    if not is_written or not all(path.is_file() for path in paths):
        paths = write(report, assembly.output)
    given = assembly.settings
    if not given.summary_recipients:
        return None
    domain = given.summary_sender.rpartition("@")[2]
    try:
        return send(report, paths, given, f"<nrespipe.summary.{site}.{day}@{domain}>")
    except Unavailable as error:
        return error


def _catalog(output: Path, site: str) -> "Sequence[Star]":
    """Return the stars that a site knows; none where its catalog is damaged: only their magnitudes are used."""
    try:
        return targets.read(targets.in_use(output, site))
    except (OSError, ValueError) as error:
        _log.warning("summary without magnitudes: the catalog of stars cannot be read", site=site, reason=str(error))
        return ()


def _stars(
    session: Session, here: Sequence[ColumnElement[bool]], catalog: "Sequence[Star]"
) -> tuple[dict[str, object], ...]:
    query = select(Frame, StarVelocity).join(StarVelocity.frame).where(*here, Frame.state == State.DONE)
    found = []
    for frame, star in session.execute(query.order_by(Frame.start_mjd, Frame.filename, StarVelocity.fiber)):
        # by its name alone: without coordinates the date does not matter
        known = star_match.match(catalog, star.object, None, None, 2000.0)
        row = {name: getattr(star, name) for name in ("fiber", "object", "snr", "rv_ms", "rv_err_ms")}
        row |= {"filename": frame.filename, "exposure_s": frame.exposure_s, "v_mag": known.v_mag if known else None}
        found.append(row | {"quality": Quality(star.quality).names()})
    return tuple(found)


def _drifts(session: Session, here: Sequence[ColumnElement[bool]]) -> tuple[dict[str, object], ...]:
    query = select(FrameDrift).join(FrameDrift.frame).where(*here, Frame.state == State.DONE)
    rows = session.scalars(query.order_by(FrameDrift.mid_mjd))
    return tuple({name: getattr(row, name) for name in DRIFTS} for row in rows)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, list | tuple):
        return " ".join(value)
    return f"{value:.2f}" if isinstance(value, float) else str(value)
