"""The parts that the service works with, built once from the settings."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session, sessionmaker

from nrespipe import instruments
from nrespipe.database.administration import connection, opening, schema
from nrespipe.files import layout
from nrespipe.frames.raw import Kind
from nrespipe.frames.spectrograph import Spectrograph
from nrespipe.service import metrics, time_limits
from nrespipe.service.time_limits import Limits, Pace
from nrespipe.settings import Settings

if TYPE_CHECKING:
    from nrespipe.frames.judgement import Judgement
    from nrespipe.frames.masters import Arc, Bias, Dark, Flat

    AnyMaster = Bias | Dark | Flat | Arc
    #: Compares a master with the last good one of its kind and camera.
    Judge = Callable[[AnyMaster, AnyMaster | None, Spectrograph], Judgement]


class _Recipes(Mapping[Kind, ModuleType]):
    """The recipes of the package, loaded when one is used: they bring the compiler of the kernels with them."""

    def __getitem__(self, kind: Kind) -> ModuleType:
        return self._loaded()[kind]

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._loaded())

    def __len__(self) -> int:
        return len(self._loaded())

    def __reduce__(self) -> str:
        # there is one in each process
        return "RECIPES"

    @staticmethod
    def _loaded() -> Mapping[Kind, ModuleType]:
        from nrespipe.recipes import RECIPES

        return RECIPES


#: The recipes of the package.
RECIPES = _Recipes()


def judge_master(new: "AnyMaster", last: "AnyMaster | None", spectrograph: Spectrograph) -> "Judgement":
    """Judge a master with the checks of the package.

    Parameters
    ----------
    last
        The last good one of the same kind and camera; None for the first.
    """
    # loaded with the first master: the checks bring the compiler of the kernels with them
    from nrespipe.engine.acceptance import master_checks

    return master_checks.judge(new, last, spectrograph)


@dataclass(frozen=True)
class Assembly:
    """The parts that the service works with.

    Attributes
    ----------
    sessions
        Of the database.
    output
        Output directory, absolute.
    recipes
        Recipe of each kind of frame.
    spectrographs
        Returns the spectrograph of a name.
    judge
        Compares a new master with the last good one, as `judge_master`.
    processes
        Frames at a time; 0 works in this process.
    settings
        From the environment and the command line.
    pace
        Intervals of the service.
    recorder
        Sends numbers for the dashboards.
    """

    sessions: sessionmaker[Session]
    output: Path
    recipes: Mapping[Kind, ModuleType]
    spectrographs: Callable[[str], Spectrograph] = instruments.load
    judge: "Judge" = judge_master
    processes: int = 0
    settings: Settings = Settings()
    pace: Pace = Pace()
    recorder: metrics.Recorder = field(default_factory=metrics.Recorder)

    @property
    def limits(self) -> Limits:
        """The limits of time that follow from the settings and the pace."""
        return time_limits.of(self.settings, self.pace)

    @cached_property
    def readers(self) -> sessionmaker[Session]:
        """Of the same database, for sessions that only read: on SQLite these block no writer."""
        return connection.read_only(self.sessions)


def build(
    output: Path,
    settings: Settings,
    recipes: Mapping[Kind, ModuleType] = RECIPES,
    spectrographs: Callable[[str], Spectrograph] | None = None,
    judge: "Judge" = judge_master,
    raw: Sequence[Path] = (),
) -> Assembly:
    """Make the output directory, open the database, and make its tables if it is empty.

    Parameters
    ----------
    recipes
        Recipe of each kind of frame; those of the package if not given.
    spectrographs
        Returns the spectrograph of a name; if not given, from the tables of the package and those in the directory
        ``instruments`` of the output.
    raw
        Directories of raw files.
    judge
        Compares a new master with the last good one.

    Raises
    ------
    OutputRefused
        If the output directory is among the raw files; then nothing was made.
    WrongRevision
        If the tables of the database are not those that this program works with.
    """
    for folder in raw:
        layout.require_apart(output, folder)
    layout.make_output(output)
    sessions = connection.connect(opening.url(output, settings))
    schema.prepare(sessions.kw["bind"])
    return _assembled(sessions, output, settings, recipes, spectrographs, judge)


def inspect(output: Path, settings: Settings) -> Assembly:
    """Assemble for a check of the service: nothing is made, and nothing can be written.

    Parameters
    ----------
    output
        Output directory; it may not exist.

    Returns
    -------
    Assembly
        Its database may be away, or have any tables.
    """
    sessions = connection.connect_to_read(opening.url(output, settings))
    return _assembled(sessions, output, settings, RECIPES, None, judge_master)


def _assembled(
    sessions: sessionmaker[Session],
    output: Path,
    settings: Settings,
    recipes: Mapping[Kind, ModuleType],
    spectrographs: Callable[[str], Spectrograph] | None,
    judge: "Judge",
) -> Assembly:
    recorder = metrics.Recorder(settings.opentsdb_hostname, settings.opentsdb_port)
    processes = time_limits.default_processes() if settings.processes is None else settings.processes
    spectrographs = spectrographs or partial(instruments.load, folder=layout.instruments(output.resolve()))
    return Assembly(
        sessions, output.resolve(), recipes, spectrographs, judge, processes, settings,
        recorder=recorder,
    )  # fmt: skip
