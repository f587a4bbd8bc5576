import numpy as np
import pytest

from nrespipe.engine.detector import fixed_pattern

SHAPE = (700, 900)


def structure(rng, scale=1.0):
    """Rows that fall off steeply, columns that differ, and a smooth wave: what biases have."""
    y, x = np.arange(SHAPE[0])[:, None], np.arange(SHAPE[1])
    columns = 4 * np.exp(-x / 60) + 0.5 * rng.standard_normal(SHAPE[1])
    return scale * (columns + 3 * np.exp(-y / 25) + np.sin(y / 430) * np.cos(x / 600))


def observed(rng, truth, sigma=1.0):
    noise = sigma * rng.standard_normal(truth.shape)
    return (truth + noise).astype(np.float32), np.full(truth.shape, sigma**2, np.float32)


def test_columns_rows_and_smooth_structure_are_kept_and_noise_is_not():
    rng = np.random.default_rng(1)
    truth = structure(rng)
    pattern, variance, _ = fixed_pattern.settle(*observed(rng, truth))
    error = pattern - truth
    assert np.std(error) < 0.12
    assert np.mean(error**2 / variance) == pytest.approx(1, abs=0.25)
    assert np.abs(error.mean(axis=0)).max() < 0.2
    assert np.abs(error.mean(axis=1)).max() < 0.2


@pytest.mark.parametrize("scatter", [0.5, 1.0, 3.0])
def test_structure_of_single_pixels_is_kept_as_far_as_it_exceeds_the_noise(scatter):
    rng = np.random.default_rng(2)
    truth = structure(rng) + scatter * rng.standard_normal(SHAPE)
    pattern, variance, _ = fixed_pattern.settle(*observed(rng, truth))
    error = pattern - truth
    assert np.std(error) < 1.03 * scatter / np.hypot(1, scatter)
    assert np.mean(error**2 / variance) == pytest.approx(1, abs=0.1)


def test_hot_pixels_and_columns_keep_their_own_values_and_spoil_no_neighbor():
    rng = np.random.default_rng(3)
    truth = structure(rng)
    hot = rng.random(SHAPE) < 5e-3
    truth[hot] += rng.choice([8, 50, 1e4], hot.sum())
    truth[300:, 123] += 2000
    truth[:, 400] += 0.6
    pattern, _, _ = fixed_pattern.settle(*observed(rng, truth))
    error = pattern - truth
    assert np.std(error[~hot]) < 0.15
    assert np.mean(np.abs(error[hot]) > 4) < 1e-2
    assert np.abs(error[300:, 123]).max() < 7
    assert abs(error[:, 400].mean()) < 0.15


def test_a_column_that_changes_its_level_on_its_way_is_followed():
    rng = np.random.default_rng(6)
    truth = structure(rng)
    truth[300:, 200] += 60
    pattern, _, deviation = fixed_pattern.settle(*observed(rng, truth))
    assert np.abs(pattern - truth)[:, 200].max() < 7
    assert np.count_nonzero(np.abs(deviation) > 20) < 270


def test_the_running_mean_is_the_plain_mean_of_the_mirrored_image():
    image = np.random.default_rng(4).normal(0, 1, (300, 7)).astype(np.float32)
    padded = np.pad(image, ((128, 128), (0, 0)), mode="symmetric")
    plain = np.array([padded[y : y + 257].mean(axis=0) for y in range(300)])
    np.testing.assert_allclose(fixed_pattern._mean_along(image.T).T, plain, atol=1e-6)


def test_an_image_smaller_than_the_windows_is_settled_too():
    rng = np.random.default_rng(5)
    pattern, variance, _ = fixed_pattern.settle(*observed(rng, np.full((50, 70), 3.0)))
    assert abs(pattern.mean() - 3) < 0.1
    assert (variance <= 1).all()


def test_a_column_whose_level_is_far_off_is_found_where_it_is():
    image = np.add.outer(np.zeros(1024), 30 * np.exp(-np.arange(300) / 60)).astype(np.float32)
    image[512:, 150] += 40
    image[700, 20] += 1e4
    far = fixed_pattern.far_columns(image, 20)
    assert far[512:, 150].all()
    assert np.count_nonzero(far) == 512
