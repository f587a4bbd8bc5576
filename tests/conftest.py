"""Light with known truth for the tests of the engine and the recipes, and what all tests share."""

import os

import hypothesis
import pytest
import structlog
from simulated_frames import SMALL_TABLES, SimulatedFrames, small_spectrograph

from nrespipe import instruments
from nrespipe.service import time_limits

# what fails in them shows its values
pytest.register_assert_rewrite("faults", "service_rig")

pytest_plugins = ["servers", "service_rig", "made_once", "small_service"]

# kernels compile within the first example, and the machine that runs the tests may be busy
hypothesis.settings.register_profile("nrespipe", deadline=None)
hypothesis.settings.load_profile("nrespipe")


def pytest_collection_modifyitems(items):
    """Let each process begin with tests that take a minute: one that had them last would work alone for as long.

    ``--dist worksteal`` gives each process a run of neighbours to begin with. The tests of the whole night share one
    night, and the fault tables run programs with a limit of time: each of these two groups stays in one process.
    """
    alone, groups = ("test_whole_night", "test_fault_table"), {}
    for item in items:
        if group := next((name for name in (*alone, "test_fortnight", "test_hard_nights") if name in item.nodeid), ""):
            groups.setdefault(group if group in alone else item.nodeid, []).append(item)
    long = list(groups.values())
    taken = {item for group in long for item in group}
    short = [item for item in items if item not in taken]
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
    bounds = [len(short) * i // processes for i in range(processes + 1)]
    shares = [[*long[i::processes], short[bounds[i] : bounds[i + 1]]] for i in range(processes)]
    items[:] = [item for share in shares for group in share for item in group]


@pytest.fixture(autouse=True)
def log_as_before():
    """Forget how a test has configured the log: the next one may look for lines that this one suppresses."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def nres01():
    """The real one."""
    return instruments.load("nres01")


@pytest.fixture(scope="session")
def spectrograph():
    """A small one, whose nights take seconds."""
    return small_spectrograph()


@pytest.fixture(scope="session")
def light(spectrograph, shelf):
    """Frames and masters of the small spectrograph."""
    return SimulatedFrames(spectrograph, shelf)


@pytest.fixture(scope="session")
def bench(light):
    return light.bench


@pytest.fixture(scope="session")
def expose(light):
    """Return a function that renders a scene as the raw frame the file reader would give, with its truth."""
    return light.expose


@pytest.fixture(scope="session")
def biases(light):
    return light.biases


@pytest.fixture(scope="session")
def master_bias(light):
    return light.bias


@pytest.fixture(scope="session")
def master_dark(light):
    return light.dark


@pytest.fixture(scope="session")
def master_flat(light):
    return light.flat


@pytest.fixture(scope="session")
def calibrations(light):
    return light.calibrations


@pytest.fixture(scope="session")
def references(light):
    return light.references


@pytest.fixture
def small_sites(monkeypatch):
    """Let all that runs in this process take the small spectrographs for those of the package."""
    monkeypatch.setattr(instruments, "files", lambda _: SMALL_TABLES)
    monkeypatch.setattr(time_limits, "default_processes", lambda: 0)
    instruments.load.cache_clear()
    yield
    instruments.load.cache_clear()
