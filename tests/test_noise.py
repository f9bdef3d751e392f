"""Seeds: which are refused, and that the streams of others never meet."""

import numpy as np
import pytest
import tensorflow as tf

from vae_keras import _noise

SEEDS = [0, 1, 5, 2**31 - 1, 2**31, 2**31 + 5, 2**32 + 5, 2**63 + 5, 2**64 + 5, 10**40]


def test_a_seed_below_2_to_the_31_is_its_own_first_word():
    for seed in (0, 7, 2**31 - 1, np.int64(7), np.uint8(7), tf.constant(7)):
        assert _noise.at(seed, 3).numpy().tolist() == [int(seed), 3]
    assert _noise.at(7, 3).dtype == tf.int32


def test_every_seed_and_branch_has_a_stream_of_its_own():
    first = [_noise.words(seed, branch) for seed in SEEDS for branch in range(50)]
    assert len(set(first)) == len(first)
    assert len({word for word, _ in first}) == len(first)  # so they never meet
    draws = [tf.random.stateless_normal([4], _noise.at(seed, 1)).numpy() for seed in SEEDS]
    assert len({tuple(draw) for draw in draws}) == len(SEEDS)


@pytest.mark.parametrize("seed", [7, 2**40])
def test_a_draw_counts_on_from_where_its_branch_begins(seed):
    for branch in (0, 1, 2):
        first, second = _noise.words(seed, branch)
        assert _noise.at(seed, 0, branch).numpy().tolist() == [first, second]
        following = (second + 5 + 2**31) % 2**32 - 2**31
        assert _noise.at(seed, 5, branch).numpy().tolist() == [first, following]


@pytest.mark.parametrize("seed", [7, 2**40])
@pytest.mark.parametrize("jit_compile", [True, False])
def test_a_stream_comes_round_after_2_to_the_32_draws(seed, jit_compile):
    at = tf.function(lambda n: _noise.at(seed, n), jit_compile=jit_compile)
    numbers = [0, 1, 2**31 - 1, 2**31, 2**32 - 1]
    seeds = [at(tf.constant(n, tf.int64)).numpy().tolist() for n in numbers]
    assert seeds == [_noise.at(seed, n).numpy().tolist() for n in numbers]
    assert len(set(map(tuple, seeds))) == len(numbers)
    assert at(tf.constant(2**32, tf.int64)).numpy().tolist() == seeds[0]


@pytest.mark.parametrize("seed", [-1, 0.5, 5.0, None, "5", [5]])
def test_a_seed_that_is_no_integer_of_at_least_0_is_refused(seed):
    with pytest.raises(ValueError, match=r"the seed is .*, but must be an integer of at least 0"):
        _noise.words(seed)
