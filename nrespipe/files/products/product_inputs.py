"""The inputs of the products of one star of a science frame."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

from nrespipe import __version__
from nrespipe.files.raw.card_values import text, value
from nrespipe.frames.raw import RawFrame, Telescope
from nrespipe.frames.reduction import Reduction
from nrespipe.frames.spectra import Spectra, Stitched
from nrespipe.frames.spectrograph import Place, Spectrograph
from nrespipe.frames.star import Star
from nrespipe.frames.velocity import Barycentric, Velocity
from nrespipe.frames.wavelength import Wavelengths

_MJD_ZERO = datetime(1858, 11, 17)

#: Words in PROPID of data that are public at once.
_PUBLIC = ("calib", "standard", "pointing", "epo")


@dataclass(frozen=True)
class ProductInputs:
    """The inputs of the products of one star: the frame, its reduction, the masters, the stars.

    Attributes
    ----------
    raw
        The frame.
    reduction
        Its reduction, with spectra and wavelengths.
    fiber
        The fiber of the star. A frame of two stars has products for each: the EPRV standard has one barycentric
        correction and one time in a file, and its reader (rvdata 1.0.0) opens no level 4 with two velocities.
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
    fiber: int
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
        """Number of each trace, from 1, and its fiber: the lit fibers in their order, without other stars."""
        others = set(self.raw.star_fibers) - {self.fiber}
        return list(enumerate((fiber for fiber in self.spectra.fibers if fiber not in others), 1))

    @property
    def star_trace(self) -> int:
        """Number of the trace of the star."""
        return next(trace for trace, fiber in self.traces if fiber == self.fiber)

    @property
    def barycentric(self) -> Barycentric | None:
        """Barycentric correction of the star; None where it has no coordinates."""
        return self.reduction.barycentric.get(self.fiber)

    @property
    def stitched(self) -> Stitched | None:
        """The joined orders of the star; None where it has no barycentric correction."""
        return self.reduction.stitched.get(self.fiber)

    @property
    def velocity(self) -> Velocity | None:
        """The velocity of the star; None where none was measured."""
        return next((one for one in self.reduction.velocities if one.fiber == self.fiber), None)

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

    def raw_text(self, keyword: str) -> str:
        """Return the text of a card of the raw header, 'UNKNOWN' where it has none."""
        return text(value(self.raw.header, keyword)) or "UNKNOWN"

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

    @property
    def place(self) -> Place:
        """Place of the telescope that feeds the fiber of the star, as ``Spectrograph.place`` has it."""
        return self.spectrograph.place(self.raw, self.fiber)


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
