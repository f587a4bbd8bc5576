"""From the settings to everything that the service works with, built once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType

from sqlalchemy.engine import URL, make_url
from sqlalchemy.orm import sessionmaker

from nrespipe import instruments
from nrespipe.database import connection
from nrespipe.files import layout
from nrespipe.frames.raw import Kind
from nrespipe.frames.spectrograph import Spectrograph
from nrespipe.service import arrivals, metrics, workers
from nrespipe.service.pace import Pace
from nrespipe.settings import Settings

#: Name of the embedded database in the output directory.
DATABASE_FILE = "nrespipe.sqlite"


class _Recipes(Mapping):
    """The recipes of the package, loaded when one is asked for: they bring the compiler of the kernels with them."""

    def __getitem__(self, kind):
        return self._loaded()[kind]

    def __iter__(self):
        return iter(self._loaded())

    def __len__(self):
        return len(self._loaded())

    def __reduce__(self):
        # there is one in each process
        return "RECIPES"

    @staticmethod
    def _loaded():
        from nrespipe.recipes import RECIPES

        return RECIPES


#: The recipes of the package.
RECIPES = _Recipes()


@dataclass(frozen=True)
class Assembly:
    """What the service works with.

    Attributes
    ----------
    sessions : sessionmaker
        Of the database.
    output : Path
        Output directory, absolute.
    recipes : mapping of Kind to module
        What to do with each kind of frame.
    spectrographs : callable
        Makes a spectrograph of its name.
    processes : int
        Frames at a time; 0 works in this process.
    log_level : str
        Least severe lines to log.
    settings : Settings
        From the environment and the command line.
    pace : Pace
        How fast the service goes on.
    recorder : Recorder
        Takes numbers for the dashboards.
    """

    sessions: sessionmaker
    output: Path
    recipes: Mapping[Kind, ModuleType]
    spectrographs: Callable[[str], Spectrograph] = instruments.load
    processes: int = 0
    log_level: str = "INFO"
    settings: Settings = Settings()
    pace: Pace = Pace()
    recorder: metrics.Recorder = field(default_factory=metrics.Recorder)


def database_url(output, settings):
    """Return where the database is.

    Parameters
    ----------
    output : Path
        Output directory.
    settings : Settings
        Whose ``database_url`` comes first.

    Returns
    -------
    sqlalchemy.URL
        Without a setting that of an SQLite file in `output`. It is printed without its password.
    """
    if given := settings.database_url.get_secret_value():
        return make_url(given)
    # not by a text: a question mark in a directory's name would begin the options
    return URL.create("sqlite", database=str(output.resolve() / DATABASE_FILE))


def build(output, settings, recipes=RECIPES, spectrographs=None, raw=()):
    """Make the output directory, open the database, and bring its tables up to date.

    Parameters
    ----------
    output : Path
        Output directory.
    settings : Settings
        From the environment and the command line.
    recipes : mapping of Kind to module, optional
        What to do with each kind of frame; those of the package if not given.
    spectrographs : callable, optional
        Makes a spectrograph of its name; if not given, from the tables of the package and those in the directory
        ``instruments`` of the output.
    raw : sequence of Path, optional
        Directories of raw files.

    Returns
    -------
    Assembly

    Raises
    ------
    OutputRefused
        If the output directory lies among the raw files; then nothing was made.
    """
    for folder in raw:
        arrivals.require_apart(output, folder)
    output.mkdir(parents=True, exist_ok=True)
    sessions = connection.connect(database_url(output, settings))
    recorder = metrics.Recorder(settings.opentsdb_hostname, settings.opentsdb_port)
    processes = workers.default_processes() if settings.processes is None else settings.processes
    spectrographs = spectrographs or partial(instruments.load, folder=layout.instruments(output.resolve()))
    return Assembly(
        sessions, output.resolve(), recipes, spectrographs, processes, settings.log_level, settings, recorder=recorder
    )


def look_up(output, settings):
    """Open a database that exists, to read what is known.

    Parameters
    ----------
    output : Path
        Output directory.
    settings : Settings
        From the environment and the command line.

    Returns
    -------
    sessionmaker

    Raises
    ------
    FileNotFoundError
        If there is no database in the output directory.
    """
    if not settings.database_url.get_secret_value() and not (output / DATABASE_FILE).is_file():
        raise FileNotFoundError(f"no database in {output}: nothing was reduced into this directory yet")
    return connection.connect(database_url(output, settings))
