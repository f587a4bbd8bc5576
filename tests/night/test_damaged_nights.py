"""Two nights in raw frames, the second with calibrations that no careful person would use."""

from pathlib import Path

import pytest
from sqlalchemy import select

from nrespipe import logs
from nrespipe.database.tables import Master
from nrespipe.frames.quality import Quality
from nrespipe.frames.raw import Kind
from nrespipe.service.batch import simulation
from nrespipe.simulator import bench as benches

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def fortnight(monkeypatch, small_sites):
    """The benchmark of a fortnight, of which two nights are enough here."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import damaged_nights
    import fortnight

    yield fortnight, damaged_nights
    logs.configure()


def test_a_star_gets_the_masters_of_the_night_before_in_place_of_bad_ones_and_its_velocity(fortnight, tmp_path):
    benchmark, draw = fortnight
    bench = benches.build(simulation.spectrograph_at("elp"))
    bad = (
        draw.Damage(Kind.FLAT, "the lamp was off", draw.lit(0.0), every=True),
        draw.Damage(Kind.DARK, "light in it", draw.leaking(0.5), every=True),
    )
    nights = [
        draw.plan(tmp_path, bench, 1, damages=()),
        draw.plan(tmp_path, bench, 2, damages=bad, counts={**draw.COUNTS, "n_bias": 0}),
    ]
    logs.configure("ERROR")
    service = benchmark.reduce(tmp_path, [(night, bench) for night in nights])
    assert [benchmark.careful(nights[1], kind, nights) for kind in benchmark.CALIBRATIONS] == [
        "20190401", "20190401", "20190401", "20190402",
    ]  # fmt: skip
    assert benchmark.check(service, nights) == []
    # a single flat of each pair tells the gain, if poorly
    with service.sessions.begin() as session:
        flats = session.scalars(select(Master).where(Master.kind == Kind.FLAT, Master.path != "")).all()
        doubts = [Quality(master.quality) & (Quality.GAIN_ASSUMED | Quality.GAIN_DISAGREES) for master in flats]
    assert doubts == [Quality(0)]
