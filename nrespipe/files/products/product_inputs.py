"""The inputs of the products of one science frame."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

from nrespipe import __version__
from nrespipe.files.raw.card_values import text, value
from nrespipe.frames.raw import RawFrame, Telescope
from nrespipe.frames.reduction import Reduction
from nrespipe.frames.spectra import Spectra
from nrespipe.frames.spectrograph import Place, Spectrograph
from nrespipe.frames.star import Star
from nrespipe.frames.wavelength import Wavelengths

_MJD_ZERO = datetime(1858, 11, 17)

#: Words in PROPID of data that are public at once.
_PUBLIC = ("calib", "standard", "pointing", "epo")


@dataclass(frozen=True)
class ProductInputs:
    """The inputs of the products of one frame: the frame, its reduction, the masters, the stars.

    Attributes
    ----------
    raw
        The frame.
    reduction
        Its reduction, with spectra and wavelengths.
    masters
        Kind and file name of every master that was used.
    spectrograph
        Fibers that carry stars, and position of the site.
    stars
        Star of each fiber, as far as it is known.
    steps
        Function and arguments of every step, in order.
    """

    raw: RawFrame
    reduction: Reduction
    masters: Mapping[str, str]
    spectrograph: Spectrograph
    stars: Mapping[int, Star] = field(default_factory=dict)
    steps: Sequence[tuple[str, str]] = ()

    @property
    def spectra(self) -> Spectra:
        """The spectra of the reduction."""
        if self.reduction.spectra is None:
            raise ValueError(f"{self.raw.filename}: a reduction without spectra has no products")
        return self.reduction.spectra

    @property
    def wavelengths(self) -> Wavelengths:
        """The wavelengths of the reduction."""
        if self.reduction.wavelengths is None:
            raise ValueError(f"{self.raw.filename}: a reduction without wavelengths has no products")
        return self.reduction.wavelengths

    @property
    def traces(self) -> list[tuple[int, int]]:
        """Number of each trace, from 1, and its fiber."""
        return list(enumerate(self.spectra.fibers, 1))

    @property
    def star_traces(self) -> list[tuple[int, int]]:
        """Number and fiber of the traces that carry a star."""
        return [(trace, fiber) for trace, fiber in self.traces if fiber in self.raw.star_fibers]

    @property
    def star_fiber(self) -> int | None:
        """The fiber of the first star, which the keywords without a number describe."""
        return next((fiber for _, fiber in self.star_traces), None)

    @property
    def date(self) -> str:
        """When the raw file was written, UTC.

        It is given wherever the standard asks for the time of a step: the same frame has to give the same bytes
        whenever it is reduced. The time of the reduction is in the database.
        """
        return text(value(self.raw.header, "DATE")) or self.date_obs

    @property
    def date_obs(self) -> str:
        """When the shutter opened, UTC, from MJD-OBS."""
        return iso(self.raw.start_mjd)

    @property
    def version(self) -> str:
        """The version of the pipeline."""
        return f"v{__version__}"

    def star(self, fiber: int) -> Star:
        """Return the star in a fiber.

        Returns
        -------
        Star
            At least with its name in OBJECTS.
        """
        measured = {velocity.fiber: velocity.star for velocity in self.reduction.velocities}
        return self.stars.get(fiber) or measured.get(fiber) or Star(name=self.raw.objects[fiber])

    def telescope(self, fiber: int) -> tuple[int, Telescope]:
        """Return number and header of the telescope that feeds a fiber, as ``Spectrograph.telescope`` does."""
        return self.spectrograph.telescope(self.raw, fiber)

    def place(self, fiber: int | None) -> Place:
        """Return the place of the observer, as ``Spectrograph.place`` does."""
        return self.spectrograph.place(self.raw, fiber)


def master_names(masters: Mapping[str, str | Path]) -> dict[str, str]:
    """Return the file names of masters.

    Parameters
    ----------
    masters
        Kind and file, with or without its directory.

    Returns
    -------
    dict of str to str
        Sorted by kind.
    """
    return {str(kind): Path(masters[kind]).name for kind in sorted(masters)}


def iso(mjd: float) -> str:
    """Return a modified Julian date as text.

    Parameters
    ----------
    mjd
        UTC [MJD].

    Returns
    -------
    str
        Such as ``2019-04-06T02:24:00.000``.
    """
    return (_MJD_ZERO + timedelta(milliseconds=round(mjd * 86400000))).isoformat(timespec="milliseconds")


def public_date(proposal: str, date_obs: str) -> str:
    """Return the day from which data are public.

    Parameters
    ----------
    date_obs
        Start of the exposure, ``YYYY-MM-DDThh:mm:ss.sss``.

    Returns
    -------
    str
        The start itself for calibrations and outreach, a year later for science, the year 9999 for engineering.
    """
    proposal = proposal.lower()
    if "engineer" in proposal:
        return "9999-01-01T00:00:00"
    if any(word in proposal for word in _PUBLIC):
        return date_obs
    day, clock = date_obs.split("T")
    first = date.fromisoformat(day)
    try:
        later = first.replace(year=first.year + 1)
    except ValueError:
        # 29 February has no anniversary in the next year; the year is over on 1 March.
        later = date(first.year + 1, 3, 1)
    return f"{later.isoformat()}T{clock}"
