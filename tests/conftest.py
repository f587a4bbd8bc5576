"""Light with known truth for the tests of the engine and the recipes; made once per test process."""

from dataclasses import replace
from types import SimpleNamespace

import hypothesis
import numpy as np
import pytest

from nrespipe import data, instruments
from nrespipe.frames.raw import Kind, RawFrame, Section
from nrespipe.frames.references import References
from nrespipe.recipes import arc, bias, dark, flat
from nrespipe.simulator import bench as benches
from nrespipe.simulator import frame as frames

pytest_plugins = ["servers", "brokers", "rigs", "metrics_server"]

# kernels compile within the first example, and the machine that runs the tests may be busy
hypothesis.settings.register_profile("nrespipe", deadline=None)
hypothesis.settings.load_profile("nrespipe")

LAMPS = {
    Kind.FLAT: (("tung", "tung", "none"), ("none", "tung", "tung")),
    Kind.ARC: (("thar", "thar", "none"), ("none", "thar", "thar")),
}


@pytest.fixture(scope="session")
def nres01():
    return instruments.load("nres01")


@pytest.fixture(scope="session")
def bench(nres01):
    return benches.build(nres01)


@pytest.fixture(scope="session")
def expose(bench):
    """Return a function that renders a scene as the raw frame the file reader would give, with its truth."""

    def make(scene, seed=0, state=None, **options):
        rendered = frames.render(bench, scene, state or benches.State(), seed=seed, **options)
        raw = RawFrame(
            filename=f"lscnrs01-fa09-20190405-{seed:04d}-{scene.kind.value[0]}00",
            kind=scene.kind,
            site="lsc",
            instrument="nres01",
            camera="fa09",
            day="20190405",
            start_mjd=58578.5 + seed / 1440,
            exposure_s=scene.exposure_s,
            objects=tuple("HD102365" if source == "star" else source for source in scene.sources),
            adu=rendered.adu.astype(np.float32),
            bias_section=Section(4102, 4160, 0, 4096),
            data_section=Section(0, 4096, 0, 4096),
            saturation_adu=47500.0,
            max_linear_adu=40000.0,
        )
        return SimpleNamespace(raw=raw, truth=rendered.truth, electrons=rendered.electrons)

    return make


@pytest.fixture(scope="session")
def biases(expose):
    return [expose(frames.Scene(Kind.BIAS), seed=i).raw for i in range(5)]


@pytest.fixture(scope="session")
def master_bias(biases, nres01):
    return bias.combine(biases, References(), nres01)


@pytest.fixture(scope="session")
def master_dark(expose, master_bias, nres01):
    darks = [expose(frames.Scene(Kind.DARK, exposure_s=900.0), seed=10 + i).raw for i in range(3)]
    return dark.combine(darks, References(bias=master_bias), nres01)


@pytest.fixture(scope="session")
def master_flat(expose, master_bias, master_dark, nres01):
    scenes = [frames.Scene(Kind.FLAT, sources, 30.0) for sources in LAMPS[Kind.FLAT]]
    flats = [expose(scene, seed=20 + 10 * k + i).raw for k, scene in enumerate(scenes) for i in range(3)]
    return flat.combine(flats, References(bias=master_bias, dark=master_dark), nres01)


@pytest.fixture(scope="session")
def calibrations(master_bias, master_dark, master_flat):
    return References(bias=master_bias, dark=master_dark, flat=master_flat)


@pytest.fixture(scope="session")
def references(expose, calibrations, nres01):
    """All masters and tables; the bench stood still while the arcs were taken."""
    scenes = [frames.Scene(Kind.ARC, sources, 600.0) for sources in LAMPS[Kind.ARC]]
    arcs = [expose(scene, seed=50 + 10 * k + i).raw for k, scene in enumerate(scenes) for i in range(2)]
    needed = replace(calibrations, lamp=data.lamp_lines())
    masks = {name: data.stellar_lines(name) for name in data.stellar_types()}
    return replace(needed, arc=arc.combine(arcs, needed, nres01), masks=masks, tellurics=data.tellurics())
