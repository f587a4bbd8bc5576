import numpy as np
import pytest

from nrespipe.numerics.robust import spread


@pytest.mark.parametrize("scale", [0.4, 2.2, 30.0])
def test_the_spread_of_whole_counts_is_not_stepped(scale):
    rng = np.random.default_rng(4)
    sample = np.round(rng.normal(1000, scale, 200_000))
    assert spread(sample) == pytest.approx(np.std(sample), rel=0.01)


def test_cosmic_rays_do_not_change_the_spread():
    rng = np.random.default_rng(5)
    sample = rng.normal(0, 3, 50_000)
    sample[:500] += 5000
    assert spread(sample) == pytest.approx(3, rel=0.01)


def test_an_empty_sample_has_no_spread():
    assert np.isnan(spread(np.array([np.nan])))
