"""Exports of the database as plain tables: calibrations, masters, velocities. Nothing is ever read back from them."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload, selectinload

from nrespipe import doppler
from nrespipe.database.frames import of_nights
from nrespipe.database.states import USABLE, Standing, State
from nrespipe.database.tables import Frame, Master, StarVelocity
from nrespipe.files import layout, plain_table
from nrespipe.frames.judgement import Verdict
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind

_JD = 2400000.5
#: MJD of the beginning of 1970, from which the clock of a computer counts.
_EPOCH_MJD = 40587.0

#: Columns of each table, with their digits behind the point.
STANDARDS: dict[str, int | None] = {
    "type": None, "filename": None, "navg": None, "site": None, "camera": None, "jd": 6, "flags": None,
    "instrument": None, "binning": None, "readout_mode": None, "night": None,
}  # fmt: skip
VELOCITIES: dict[str, int | None] = {
    "target": None, "created_mjd": 5, "bjd_tdb": 8, "site": None, "exposure_s": 3, "filename": None, "product": None,
    "n_lines": None, "rv_raw_kms": 6, "contrast": 5, "fwhm_ms": 3, "berv_ms": 3, "rv_ms": 3, "rv_err_ms": 3,
    "instrument": None, "camera": None, "fiber": None, "night": None, "object": None, "photon_err_ms": 3,
    "wavelength_err_ms": 3, "drift_err_ms": 3, "transfer_err_ms": 3, "mask_err_ms": 3, "scale_err_ms": 3, "drift_ms": 3,
    "snr": 2,
    "bisector_ms": 3, "mask": None, "template": None, "template_rv_ms": 3, "template_err_ms": 3, "quality": None,
    "code_version": None,
}  # fmt: skip
MASTERS: dict[str, int | None] = {
    "kind": None, "filename": None, "site": None, "instrument": None, "camera": None, "binning": None,
    "readout_mode": None, "night": None, "mean_mjd": 6, "fibers": None, "n_inputs": None, "standing": None,
    "verdict": None, "quality": None, "reason": None, "md5": None, "created_mjd": 5, "code_version": None,
}  # fmt: skip

_TYPES = {Kind.BIAS: ("BIAS",), Kind.DARK: ("DARK",), Kind.FLAT: ("FLAT", "TRACE")}
_PAIRS = {"01": "1", "12": "2", "012": "3"}
_WORST = tuple(map(str, Verdict))


def standards(session: Session, *, site: str = "", first_day: str = "", last_day: str = "") -> str:
    """Return the list of calibrations in the form of the earlier service.

    Parameters
    ----------
    first_day, last_day
        Only these nights, ``YYYYMMDD``, both included.

    Returns
    -------
    str
        A line for every master that has a file, in the order of their times; a flat is a TRACE too.
    """
    rows = [
        {
            **_place(master),
            "type": kind,
            "filename": master.path,
            "navg": master.n_inputs,
            "jd": master.mean_mjd + _JD,
            "flags": f"{int(master.standing not in USABLE)}0{_PAIRS.get(master.fibers, '0')}0",
        }
        for master in _masters(session, site, first_day, last_day)
        if master.path and master.standing is not Standing.REPLACED and master.mean_mjd is not None
        for kind in _TYPES.get(master.kind) or ("TRIPLE" if len(master.fibers) == 3 else "DOUBLE",)
    ]
    rows.sort(key=lambda row: (row["jd"], row["filename"], row["type"]))
    return plain_table.text("calibrations; jd: mean start of the inputs, UTC [day]", STANDARDS, rows)


def masters(session: Session, *, site: str = "", first_day: str = "", last_day: str = "") -> str:
    """Return the list of all masters and of all attempts at one.

    Parameters
    ----------
    first_day, last_day
        Only these nights, ``YYYYMMDD``, both included.

    Returns
    -------
    str
        A line for each, in the order of night, spectrograph, camera, kind and creation. After the columns `MASTERS`
        comes one for every number that was compared with limits.
    """
    found = _masters(session, site, first_day, last_day)
    judged = [{finding["name"]: finding["value"] for finding in master.findings or ()} for master in found]
    columns = MASTERS | dict.fromkeys(sorted({name for numbers in judged for name in numbers}), 6)
    rows = [{**_master(master), **numbers} for master, numbers in zip(found, judged)]
    return plain_table.text("masters; mean_mjd, created_mjd: UTC [day]; units of numbers in their names", columns, rows)


def velocities(session: Session, *, site: str = "", first_day: str = "", last_day: str = "") -> str:
    """Return the velocities of all frames that are done.

    Parameters
    ----------
    first_day, last_day
        Only these nights, ``YYYYMMDD``, both included.

    Returns
    -------
    str
        A line for each star of each frame, last versions only, in order of time.
    """
    query = select(StarVelocity).join(StarVelocity.frame).where(Frame.state == State.DONE, Frame.is_latest())
    parts = (selectinload(Frame.products), selectinload(Frame.attempts), selectinload(Frame.drift))
    query = query.options(joinedload(StarVelocity.frame).options(*parts))
    found = session.scalars(query.where(*of_nights(Frame, site, first_day, last_day)))
    rows = [_velocity(velocity.frame, velocity) for velocity in sorted(found, key=_time)]
    remark = "velocities; created_mjd: UTC, bjd_tdb: TDB [day]; _ms: m/s, _kms: km/s, _s: second; empty: not measured"
    return plain_table.text(remark, VELOCITIES, rows)


def _masters(session: Session, site: str, first_day: str, last_day: str) -> list[Master]:
    order = (Master.day, Master.instrument, Master.camera, Master.kind, Master.id)
    return list(session.scalars(select(Master).where(*of_nights(Master, site, first_day, last_day)).order_by(*order)))


def _place(row: Frame | Master) -> dict[str, str]:
    names = ("site", "instrument", "camera", "binning", "readout_mode")
    return {"night": row.day} | {name: getattr(row, name) for name in names}


def _master(master: Master) -> dict[str, object]:
    verdicts = [finding["verdict"] for finding in master.findings or ()]
    names = ("kind", "mean_mjd", "fibers", "n_inputs", "standing", "reason", "md5", "code_version")
    return {
        **_place(master),
        **{name: getattr(master, name) for name in names},
        "filename": master.path,
        "verdict": max(verdicts, key=_WORST.index, default=None),
        "quality": "|".join(Quality(master.quality).names()),
        "created_mjd": _mjd(master.created),
    }


def _time(velocity: StarVelocity) -> tuple[float, str, int]:
    return velocity.frame.start_mjd or 0.0, velocity.frame.filename, velocity.fiber


def _velocity(frame: Frame, velocity: StarVelocity) -> dict[str, object]:
    done = [attempt for attempt in frame.attempts if attempt.outcome is State.DONE]
    spectra = [product.path for product in frame.products if layout.is_product(product.path, "L2", velocity.fiber)]
    own = {name: getattr(velocity, name) for name in VELOCITIES if hasattr(velocity, name)}
    return {
        **_place(frame),
        **own,
        "target": velocity.star or velocity.object,
        "created_mjd": _mjd(done[-1].finished) if done else None,
        "exposure_s": frame.exposure_s,
        "filename": frame.filename,
        "product": spectra[0] if spectra else None,
        "n_lines": frame.drift.n_lines if frame.drift else None,
        "rv_raw_kms": _raw_kms(velocity),
        "quality": "|".join(Quality(velocity.quality).names()),
        "code_version": frame.code_version,
    }


def _raw_kms(velocity: StarVelocity) -> float | None:
    """Return the velocity in the frame of the observatory, without barycentric correction."""
    if velocity.rv_ms is None or velocity.berv_ms is None:
        return None
    return doppler.C_MS / 1e3 * (doppler.seen(velocity.rv_ms, velocity.berv_ms) - 1)


def _mjd(moment: datetime) -> float:
    return _EPOCH_MJD + moment.timestamp() / 86400
