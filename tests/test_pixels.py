"""What a model reads of pixels, and pixels drawn black and white."""

import hashlib

import keras
import numpy as np
import pytest
from oracles.weights import assert_same

from vae_keras import pixels


def test_unit():
    np.testing.assert_array_equal(pixels.unit(np.uint8([0, 51, 255])), np.float32([0, 0.2, 1]))
    np.testing.assert_array_equal(pixels.unit([0.5, 1.0]), np.float32([0.5, 1.0]))


def test_intensities_are_what_a_model_reads():
    x = np.array([[0, 51, 255]], np.uint8)
    np.testing.assert_array_equal(pixels.intensities(x), pixels.unit(x))
    np.testing.assert_array_equal(pixels.intensities(x, pixels=False), [[0, 51, 255]])
    for other in ([0.5, 2.0], np.array([3, -1]), np.array([True, False])):
        read = pixels.intensities(other)
        assert read.dtype == np.float32
        np.testing.assert_array_equal(read, np.asarray(other, "float32"))


def assert_binomial(white, n, p):
    """`white` of `n` draws each, all within five standard deviations of what `p` asks for."""
    deviation = np.sqrt(n * p * (1 - p))
    assert np.all(np.abs(white - n * p) <= 5 * deviation)


def test_a_pixel_is_white_as_often_as_it_is_bright():
    grey = np.tile(np.arange(256, dtype="uint8"), (20_000, 1))
    drawn = pixels.binarised(grey)
    assert drawn.dtype == np.float32
    assert set(np.unique(drawn)) == {0, 1}
    assert_binomial(drawn.sum(0), 20_000, np.arange(256) / 255)  # of 0 and 255 exactly
    # Each by itself: pixels of one brightness beside and below each other.
    same = pixels.binarised(np.full((20_000, 4), 0.5))
    for one, other in ((same[:, 0], same[:, 1]), (same[:-1, 0], same[1:, 0])):
        assert_binomial(np.sum(one * other), len(one), 0.25)


def test_what_is_drawn_once_is_the_same_for_everyone():
    grey = np.full((100, 50), 0.5)
    drawn = pixels.binarised(grey)
    known = "1c5103b67c522c09d21bab40e4fae573c143276ba80e50796680d89b1e7e7c01"
    assert hashlib.sha256(drawn.tobytes()).hexdigest() == known
    np.testing.assert_array_equal(pixels.binarised(grey[:7]), drawn[:7])
    assert_binomial(np.sum(pixels.binarised(grey, seed=1) == drawn), drawn.size, 0.5)


def epochs_of(data, n=1):
    """What `fit` would see in `n` epochs."""
    epochs = []
    for _ in range(n):
        data.on_epoch_begin()
        epochs.append(np.concatenate([data[i] for i in range(len(data))]))
        data.on_epoch_end()
    return epochs


def test_each_epoch_is_drawn_anew_and_repeats_by_its_seed_and_number():
    grey = np.random.default_rng(0).uniform(size=(250, 12))
    first, second, third = epochs_of(pixels.Binarised(grey), 3)
    assert first.shape == (250, 12)
    again = pixels.Binarised(grey, epoch=1)
    np.testing.assert_array_equal(epochs_of(again)[0], second)
    assert again.epoch == 2
    again.epoch = 1
    np.testing.assert_array_equal(epochs_of(again)[0], second)
    # Two draws of the rows in another order agree where two draws of any pixels would.
    p = np.mean(grey)
    for one, other in ((first, second), (second, third), (first, epochs_of(
        pixels.Binarised(grey, seed=1))[0])):  # fmt: skip
        assert abs(np.mean(one == other) - (p**2 + (1 - p) ** 2)) < 5 * 0.5 / np.sqrt(grey.size)


def test_each_row_comes_once_an_epoch_in_an_order_of_its_own():
    rows = np.eye(250, dtype="float32")  # drawn as they are
    first, second = epochs_of(pixels.Binarised(rows, batch_size=60), 2)
    for epoch in (first, second):
        np.testing.assert_array_equal(np.sort(epoch.argmax(1)), np.arange(250))
    assert np.mean(first.argmax(1) == second.argmax(1)) < 0.05


def test_the_frequencies_over_epochs_are_the_grey_values():
    grey = np.linspace(0, 255, 12).astype("uint8")
    epochs = epochs_of(pixels.Binarised(np.tile(grey, (250, 1))), 20)
    assert_binomial(np.concatenate(epochs).sum(0), 250 * 20, grey / 255)


def test_fit_takes_it_and_goes_on_from_an_epoch(make_vae, x):
    """Its first epoch is the first, and two, then two more, equal four."""
    whole, data = make_vae(seed=1), pixels.Binarised(x)
    whole.fit(data, epochs=4, shuffle=False, verbose=0)
    assert data.epoch == 4
    for later in (lambda data: data, lambda data: pixels.Binarised(x, epoch=2)):
        parts, data = make_vae(seed=1), pixels.Binarised(x)
        parts.fit(data, epochs=2, shuffle=False, verbose=0)
        parts.fit(later(data), initial_epoch=2, epochs=4, shuffle=False, verbose=0)
        assert_same(parts.trainable_variables, whole.trainable_variables, atol=1e-6)
    drawn, one = make_vae(seed=1), make_vae(seed=1)
    drawn.fit(pixels.Binarised(x, epoch=7), shuffle=False, verbose=0)
    one.fit(epochs_of(pixels.Binarised(x, epoch=7))[0], batch_size=100, shuffle=False, verbose=0)
    assert_same(drawn.trainable_variables, one.trainable_variables, atol=1e-6)


def test_backup_and_restore_goes_on_with_the_draws_of_its_epoch(make_vae, x, tmp_path):
    def fit(vae, stop_after=None):
        data = pixels.Binarised(x)

        def begin(epoch, logs):
            if epoch == stop_after:
                raise KeyboardInterrupt
            data.epoch = epoch

        callbacks = [keras.callbacks.BackupAndRestore(tmp_path / "backup"),
                     keras.callbacks.LambdaCallback(on_epoch_begin=begin)]  # fmt: skip
        vae.fit(data, epochs=4, shuffle=False, verbose=0, callbacks=callbacks)
        return vae

    whole = fit(make_vae(seed=1))
    with pytest.raises(KeyboardInterrupt):
        fit(make_vae(seed=1), stop_after=2)
    restored = fit(make_vae(seed=1))
    assert_same(restored.trainable_variables, whole.trainable_variables, atol=1e-6)


@pytest.mark.parametrize("make", [pixels.binarised, pixels.Binarised])
def test_what_cannot_be_drawn_is_refused(make):
    for x, advice in ((1.5, "divide by"), (-0.1, r"scale them, \(x - min\)")):
        why = rf"pixels lie in .* needs them in \[0, 1\]: {advice}"
        with pytest.raises(ValueError, match=why):
            make(np.array([[x]]))
    with pytest.raises(ValueError, match="NaN or infinite"):
        make(np.array([[np.nan]]))
    with pytest.raises(ValueError, match="uint8 data are all 0 or 1"):
        make(np.ones((2, 3), "uint8"))
    for seed in (-1, 0.5):
        with pytest.raises(ValueError, match=f"the seed is {seed}, but must be an integer"):
            make(np.ones((2, 3)), seed=seed)
    with pytest.raises(ValueError, match=r"batch_size \(M\) is 0"):
        pixels.Binarised(np.ones((2, 3)), batch_size=0)
