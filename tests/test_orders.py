"""Orders of an array's rows: decided by the seed and by how many were visited before."""

import itertools

import numpy as np
import pytest

from vae_keras import _orders


def rows(before, length, shuffle, n=25, seed=3):
    return _orders.rows(seed, before, n, length, shuffle).numpy()


@pytest.mark.parametrize("shuffle", _orders.ENDLESS)
def test_an_order_without_end_is_the_same_however_it_is_divided_into_calls(shuffle):
    once = rows(0, 200, shuffle)
    assert once.shape == (200,)
    assert once.dtype == np.int32
    assert set(once) <= set(range(25))
    for lengths in ((1, 199), (24, 1, 175), (25, 50, 125), (10,) * 20, (63, 60, 77)):
        begins = np.cumsum((0, *lengths[:-1]))
        parts = [rows(b, length, shuffle) for b, length in zip(begins, lengths, strict=True)]
        np.testing.assert_array_equal(np.concatenate(parts), once)


def test_passes_are_one_permutation_after_the_other():
    passes = rows(0, 100, "passes").reshape(4, 25)
    np.testing.assert_array_equal(np.sort(passes), 4 * [np.arange(25)])
    for one, other in itertools.pairwise(passes):
        assert not np.array_equal(one, other)
    assert not np.array_equal(passes[0], np.arange(25))


def test_with_replacement_each_row_is_drawn_by_itself():
    """All are about as frequent, which passes have too; but some come twice in n, and others not.

    Of 40 x 250 draws the frequencies have the chi^2 of 249 degrees of freedom, and of n draws a
    share (1 - 1/n)^n of the rows is never one.
    """
    draws = rows(0, 40 * 250, "replacement", n=250)
    counts = np.bincount(draws, minlength=250)
    assert abs(np.sum((counts - 40) ** 2 / 40) - 249) < 4 * np.sqrt(2 * 249)
    missed = [250 - len(set(draws[250 * k : 250 * (k + 1)])) for k in range(40)]
    assert np.mean(missed) / 250 == pytest.approx((1 - 1 / 250) ** 250, abs=0.02)
    apart = np.abs(np.corrcoef(draws[:-1], draws[1:])[0, 1])
    assert apart < 4 / np.sqrt(len(draws))


def test_an_epoch_is_shuffled_or_in_order_and_ends_with_the_rows():
    for before in (0, 25, 75):
        np.testing.assert_array_equal(rows(before, 25, False), np.arange(25))
        np.testing.assert_array_equal(np.sort(rows(before, 25, True)), np.arange(25))
        np.testing.assert_array_equal(rows(before, 10, True), rows(before, 25, True)[:10])
        np.testing.assert_array_equal(rows(before, 10, False), np.arange(10))
        assert len(rows(before, 99, True)) == len(rows(before, 99, False)) == 25
    for one, other in ((0, 25), (0, 10), (10, 20), (20, 30)):  # an epoch may end before the rows do
        assert not np.array_equal(rows(one, 10, True), rows(other, 10, True))
    assert not np.array_equal(rows(0, 25, True), np.arange(25))


@pytest.mark.parametrize("shuffle", ["replacement", "passes", True])
def test_each_seed_has_an_order_of_its_own(shuffle):
    """Also a seed that takes more than 31 bits, or more than 64."""
    seeds = (0, 1, 3, 2**31, 2**31 + 3, 2**32 + 3, 2**63 + 3, 2**64 + 3)
    orders = {tuple(rows(0, 25, shuffle, seed=seed)) for seed in seeds}
    assert len(orders) == len(seeds)
    for seed in seeds:
        again = rows(0, 25, shuffle, seed=seed)
        np.testing.assert_array_equal(again, rows(0, 25, shuffle, seed=seed))


@pytest.mark.parametrize("shuffle", ["replacement", "passes"])
def test_it_goes_on_after_more_visits_than_32_bits_count(shuffle):
    late = 25 * 2**40
    once = rows(late, 50, shuffle)
    np.testing.assert_array_equal(
        np.concatenate([rows(late, 7, shuffle), rows(late + 7, 43, shuffle)]), once
    )
    assert not np.array_equal(once, rows(0, 50, shuffle))
