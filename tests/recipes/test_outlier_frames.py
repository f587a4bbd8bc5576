import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrespipe.engine.acceptance import frame_outliers
from nrespipe.recipes import arc, bias, dark, flat

ONE, TWO = "tung&tung&none", "none&tung&tung"


def flats(*rows):
    return [{"middle_row_px": row} for row in rows]


def test_flats_that_agree_belong_together():
    lit = [ONE] * 3 + [TWO] * 3
    assert flat.outlier_frames(lit, flats(2.0, 2.1, 1.9, -18.0, -18.1, -18.0)) == [""] * 6


def test_a_flat_whose_orders_have_moved_is_left_out():
    reasons = flat.outlier_frames([ONE] * 4, flats(2.0, 5.0, 2.0, 2.0))
    assert reasons == ["", "its orders lie at 5.00 px, those of the other flats at 2.00 px", "", ""]


def test_a_flat_of_the_other_pair_is_left_out_even_of_two():
    lit = [ONE, ONE, TWO, TWO]
    reasons = flat.outlier_frames(lit, flats(2.0, -17.5, -18.0, -18.2))
    assert [bool(reason) for reason in reasons] == [False, True, False, False]
    assert reasons[1] == "its light lies in the fibers of another pair than its header says"


def test_two_flats_that_disagree_are_both_kept_where_nothing_tells_which_is_right():
    assert flat.outlier_frames([ONE] * 2, flats(2.0, 5.0)) == ["", ""]


def test_flats_that_all_seem_to_be_of_one_pair_are_not_all_left_out():
    assert flat.outlier_frames([ONE, ONE, TWO, TWO], flats(2.0, 2.0, 2.1, 2.0)) == [""] * 4


def test_a_bias_with_other_noise_or_level_is_left_out():
    measured = [{"noise_adu": noise, "structure_adu": level} for noise, level in ((2, 0), (5, 0), (2, 9), (2, 0.1))]
    reasons = bias.outlier_frames([""] * 4, [*measured, measured[0]])[:4]
    assert reasons[0] == reasons[3] == ""
    assert "noise is 5.00 ADU" in reasons[1]
    assert "+9.00 ADU above its overscan" in reasons[2]


def test_a_dark_that_saw_light_is_left_out():
    reasons = dark.outlier_frames([""] * 3, [{"rate_adu_per_s": rate} for rate in (0.001, 0.002, 0.5)])
    assert [bool(reason) for reason in reasons] == [False, False, True]


def test_an_arc_with_a_dying_lamp_or_a_moved_bench_is_left_out():
    measured = [
        {"bright_pixels_per_order": pixels, "trace_shift_px": shift}
        for pixels, shift in ((300, 0), (310, 0.1), (20, 0), (290, 3), (305, 0))
    ]
    reasons = arc.outlier_frames(["none&thar&thar"] * 5, measured)
    assert [bool(reason) for reason in reasons] == [False, False, True, True, False]


def test_an_arc_whose_lines_lie_a_pixel_and_more_along_the_orders_is_left_out_of_whichever_pair():
    lit = ["thar&thar&none"] * 2 + ["none&thar&thar"] * 2
    reasons = arc.outlier_frames(lit, [{"lines_fiber1_px": x} for x in (-10.4, -10.3, -12.0, -10.1)])
    assert reasons == [
        "", "", "the lines of fiber 1 lie -12.00 px from the optical model, those of the other arcs -10.35 px", ""
    ]  # fmt: skip


def test_an_arc_with_a_star_fiber_that_has_moved_alone_is_left_out():
    measured = [{"lines_fiber1_px": -10.4, "lines_fiber2_px": x} for x in (3.2, 3.1, 4.6)]
    assert [bool(reason) for reason in arc.outlier_frames(["none&thar&thar"] * 3, measured)] == [False, False, True]


@pytest.mark.parametrize("recipe", [arc, bias, dark, flat])
def test_frames_without_measurements_are_kept(recipe):
    assert recipe.outlier_frames([ONE, ONE, TWO], [{}, {}, {}]) == [""] * 3


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), max_size=9), st.floats(0, 1e6))
def test_the_majority_is_never_left_out(values, limit):
    reasons = frame_outliers.find(values, limit, "{value} {usual}")
    assert 2 * sum(map(bool, reasons)) < max(1, np.isfinite(values).sum())
