"""Every fault, while the service works: after each of them every frame has one result or one reason."""

import pytest
from faults import FAULTS, World, strike

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("faults")]


@pytest.mark.parametrize("number", [1, 4, 12], ids=lambda number: f"{number} frames a fault")
def test_no_fault_loses_doubles_or_damages_a_frame_or_ends_a_program(rig, archive, rabbit, postgres, number):
    world = World(rig, archive, rabbit, postgres)
    for fault in FAULTS:
        strike(world, fault, number)
