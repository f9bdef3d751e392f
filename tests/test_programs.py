"""What is compiled for a model, how often, and that batches have noise of their own."""

import copy
import gc
import pickle
import types
import warnings
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from oracles.linear_gaussian import LinearGaussian, Plain, loose

from vae_keras import _programs, marginal_likelihood, mcmc

tfd = tfp.distributions


# ------------------------------------------------------------------------- in batches


@pytest.mark.parametrize("n", [1, 7, 8, 9, 40, 41, 95])
def test_the_parts_of_all_batches_come_back_as_of_one(n, monkeypatch):
    monkeypatch.setattr(_programs, "BATCH", 40)
    x, sizes = np.arange(2 * n, dtype="float32").reshape(n, 2), []

    def program(x, seed):
        sizes.append(len(x))
        return x, tf.stack([x[:, 0], 2 * x[:, 0]]), tf.fill([len(x)], seed)

    whole, second, seeds = _programs.in_batches(program, x, lambda i: 10 * i, axes=(0, 1, 0))
    np.testing.assert_array_equal(whole, x)
    np.testing.assert_array_equal(second, [x[:, 0], 2 * x[:, 0]])
    np.testing.assert_array_equal(seeds, 10 * (np.arange(n) // 40))
    assert len(sizes) == -(-n // 40)
    assert set(sizes) <= {8, 16, 32, 40}


def test_uint8_are_read_as_intensities():
    x = np.array([[0, 51, 255]], np.uint8)
    (read,) = _programs.in_batches(lambda x, seed: (x,), x, lambda i: i, axes=(0,))
    np.testing.assert_array_equal(read, np.float32([[0, 0.2, 1]]))


# ------------------------------------------------------------------- what is compiled, and when


@pytest.fixture
def traced(monkeypatch):
    """The sizes of the programs that were traced."""
    sizes, log_joint = [], mcmc.log_joint

    def counted(model, x, z):
        if not sizes or sizes[-1] is not x:
            sizes.append(x)  # HMC traces the density several times, of the same tensor
        return log_joint(model, x, z)

    monkeypatch.setattr(mcmc, "log_joint", counted)
    return sizes


def draws(model, x, **kwargs):
    chains = mcmc.draw(model, x, 9, burn_in=5, **kwargs)
    assert chains.z.shape == (9, len(x), 2)
    return chains.log_prob.numpy().T


def appendix_d(model, x, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that so short a burn-in is too short
        return marginal_likelihood.appendix_d(model, x, 9, burn_in=5, **kwargs).log_likelihood


def sampled(model, x, **kwargs):
    return marginal_likelihood.importance_sampling(model, x, 9, **kwargs).log_likelihood


ESTIMATES = pytest.mark.parametrize("estimate", [sampled, appendix_d])  # which draws


def test_a_program_is_compiled_once_and_follows_the_weights(traced):
    oracle = LinearGaussian()
    x, model = oracle.draw(16), loose(oracle)
    model.compile(keras.optimizers.SGD(0.01))
    first = sampled(model, x)
    model.fit(x, validation_data=x, verbose=0)
    model.evaluate(x, verbose=0)
    trained = sampled(model, x)
    sampled(model, x, seed=1)
    assert len(traced) == 1
    fresh = loose(oracle)
    np.testing.assert_array_equal(first, sampled(fresh, x))
    fresh.set_weights(model.get_weights())
    np.testing.assert_array_equal(trained, sampled(fresh, x))
    assert np.abs(trained - first).max() > 1e-3
    assert len(traced) == 2


def test_what_took_the_place_of_an_attribute_is_used(traced):
    x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    model = Plain()
    before = sampled(model, x)
    wide = tfd.MultivariateNormalDiag([0.0, 0.0], [3.0, 3.0])

    def in_place():
        model.w[:] = 0.5

    for change in (lambda: setattr(model, "prior", wide), lambda: setattr(model, "noise", 0.7),
                   in_place, lambda: setattr(model, "decode", Plain(2.0).decode)):  # fmt: skip
        change()
        after = sampled(model, x)
        fresh = Plain()
        vars(fresh).update({k: v for k, v in vars(model).items() if k != "_programs"})
        np.testing.assert_array_equal(after, sampled(fresh, x))
        assert np.abs(after - before).max() > 1e-3
        before = after
    made = len(traced)
    np.testing.assert_array_equal(before, sampled(model, x))
    assert len(traced) == made
    if hasattr(model, "_programs"):
        assert len(model._programs) == 1  # those of the models that it was are gone


@pytest.mark.first(1)
@ESTIMATES
def test_data_of_many_lengths_make_few_programs(estimate, traced, monkeypatch):
    monkeypatch.setattr(_programs, "BATCH", 40)
    x = np.random.default_rng(0).normal(size=(85, 3)).astype("float32")
    model = Plain()
    for n in (1, 5, 8, 33, 40, 41, 85):
        found = estimate(model, x[:n])
        assert len(found) == n
        assert np.all(np.isfinite(found))
    assert sorted(one.shape[0] for one in traced) == [8, 40]


@pytest.mark.parametrize("make", [lambda: loose(LinearGaussian(pixels=3)), Plain])
def test_a_model_is_not_kept_alive_by_what_was_compiled_for_it(make, traced):
    model = make()
    sampled(model, np.ones((8, 3), "float32"))
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_importance_sampling_has_one_program_for_every_number_of_samples(traced):
    oracle = LinearGaussian()
    x, model = oracle.draw(8), loose(oracle)
    for k in (1, 10, 100):
        marginal_likelihood.importance_sampling(model, x, k)
    for k in (10, 100):
        for share in (0.1, 0.5):
            marginal_likelihood.importance_sampling(model, x, k, prior_share=share)
    assert len(traced) == 2


def test_a_copy_of_a_model_is_a_model_of_its_own(traced):
    x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    model = Plain()
    before = sampled(model, x)
    copied = copy.copy(model)
    copied.noise = 2.0
    assert np.abs(sampled(copied, x) - before).max() > 1e-3
    np.testing.assert_array_equal(sampled(model, x), before)
    assert pickle.loads(pickle.dumps(vars(model)["_programs"])) == {}
    named = types.SimpleNamespace(prior=model.prior, decode=model.decode, encode=model.encode)
    np.testing.assert_array_equal(sampled(named, x), before)


# --------------------------------------------------------------------------------------- seeds


@pytest.mark.first(1)
@ESTIMATES
def test_any_integer_is_a_seed_and_others_are_refused(estimate, traced):
    x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    model = Plain()
    seeds = (5, 2**31, 2**31 + 5, 2**32 + 5, 2**64 + 5, 10**30)
    found = {estimate(model, x, seed=seed).tobytes() for seed in seeds}
    assert len(found) == len(seeds)
    for seed in (-1, 0.5, None):
        with pytest.raises(ValueError, match=r"the seed is .* an integer of at least 0"):
            estimate(model, x, seed=seed)


def test_each_batch_has_noise_of_its_own_however_many_there_are(monkeypatch, traced):
    """After 256,000 datapoints it would come again, were the seed counted modulo 2^31."""
    for seed in (0, 2**40):
        begin = np.array(
            [marginal_likelihood._seed_of(seed, batch).numpy() for batch in range(1000)]
        )
        for first in np.unique(begin[:, 0]):
            second = begin[begin[:, 0] == first, 1].astype("int64")
            assert len(second) == 2
            assert 10**9 < (second[1] - second[0]) % 2**32 < 3 * 10**9
    before = [[3, 2**20 * (1000 * batch + 1)] for batch in range(2)]  # as the stored runs have it
    assert [marginal_likelihood._seed_of(3, batch).numpy().tolist() for batch in range(2)] == before
    monkeypatch.setattr(_programs, "BATCH", 8)
    x = np.ones((8 * 260, 3), "float32")
    for estimate in (sampled, draws):
        found = estimate(Plain(), x)
        assert len(np.unique(found, axis=0)) > 0.99 * len(x)
