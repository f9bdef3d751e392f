"""Appendix D and importance sampling against exact log p(x) and quadrature."""

import gc
import sys
import types
import warnings
import weakref

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp
from oracles.linear_gaussian import LinearGaussian, alike, loose
from tensorflow.python.framework.func_graph import FuncGraph

import vae_keras
from vae_keras import layers, marginal_likelihood
from vae_keras.layers import TFPDistribution

tfd = tfp.distributions


@pytest.mark.usefixtures("xla")
def test_both_estimators_find_the_exact_log_likelihood():
    oracle = alike(2)
    x, model = oracle.draw(400), loose(oracle)
    exact = oracle.log_likelihood(x)
    for density in ("gaussian", "kde"):
        found = marginal_likelihood.appendix_d(model, x, density=density)
        assert np.mean(found.log_likelihood - exact) == pytest.approx(0, abs=0.05)
        standardised = (found.log_likelihood - exact) / found.error
        assert 0.5 < np.median(np.abs(standardised)) / 0.6745 < 2  # the error is one
    found = marginal_likelihood.importance_sampling(model, x, 1000)
    assert np.mean(found.log_likelihood - exact) == pytest.approx(0, abs=0.02)
    assert found.error.mean() < 0.1
    assert found.acceptance is None


def test_what_was_compiled_goes_with_the_model():
    """Not so where TFP's bijectors saw its tensors."""

    def compiled():
        return [o for o in gc.get_objects() if isinstance(o, FuncGraph) and o.name == "estimate"]

    oracle = LinearGaussian(latent=2)
    model = loose(oracle)
    of_others = weakref.WeakSet(compiled())  # of tests before
    for density in ("gaussian", "kde"):
        marginal_likelihood.appendix_d(model, oracle.draw(3), 10, burn_in=100, density=density)
    graphs = weakref.WeakSet(graph for graph in compiled() if graph not in of_others)
    assert len(graphs) == 2
    del model
    gc.collect()
    assert len(graphs) == 0


def nonlinear():
    """A model of six Bernoulli pixels with a decoder that bends, of one latent number."""
    keras.utils.set_random_seed(1)
    q, p = layers.DiagonalGaussian(1), layers.Bernoulli(6)
    encoder = keras.Sequential([keras.Input((6,)), keras.layers.Dense(q.params_size), q])
    wide = keras.initializers.RandomNormal(stddev=1.0)
    hidden = keras.layers.Dense(8, "tanh", kernel_initializer=wide)
    pixels = keras.layers.Dense(6, kernel_initializer=wide)
    decoder = keras.Sequential([keras.Input((1,)), hidden, pixels, p])
    decoder.trainable = False  # the encoder learns to be a proposal
    model = vae_keras.VAE(encoder, decoder)
    model.compile(keras.optimizers.Adam(0.02))
    model.fit(model.sample(5000), epochs=5, verbose=0)
    return model


def test_a_nonlinear_decoder_against_quadrature():
    model = nonlinear()
    x = np.round(model.sample(40))
    z = np.linspace(-6, 6, 4001, dtype="float32")[:, None]
    prior, likelihoods = model.prior.log_prob(z), model.decode(z)
    log_joint = [prior + likelihoods.log_prob(one) for one in x]
    exact = scipy.special.logsumexp(log_joint, 1) + np.log(12 / 4000)
    for found in (
        marginal_likelihood.importance_sampling(model, x, 5000),
        marginal_likelihood.appendix_d(model, x, 400, leapfrog_steps=10, density="kde"),
    ):
        assert np.mean(found.log_likelihood - exact) == pytest.approx(0, abs=0.05)


def test_what_is_refused_and_what_is_warned_of():
    oracle = LinearGaussian(latent=2)
    x, model = oracle.draw(5), loose(oracle)
    with pytest.raises(ValueError, match=r"n_samples \(L\), .* is 8, but .* at least 9"):
        marginal_likelihood.appendix_d(model, x, 8)
    with pytest.raises(ValueError, match="unknown density 'flow': one of gaussian, kde"):
        marginal_likelihood.appendix_d(model, x, density="flow")
    with pytest.raises(ValueError, match=r"n_samples \(K\) is 0"):
        marginal_likelihood.importance_sampling(model, x, 0)
    for estimate in (marginal_likelihood.appendix_d, marginal_likelihood.importance_sampling):
        with pytest.raises(ValueError, match=r"of shape \(5, 4\), but the model reads \(n, 5\)"):
            estimate(model, x[:, :4])
        with pytest.raises(ValueError, match="1 of 25 values are NaN"):
            estimate(model, np.where(np.arange(25).reshape(5, 5) == 3, np.nan, x))
    chains = vae_keras.MonteCarloEM(model.decoder, 5)
    with pytest.raises(ValueError, match=r"MonteCarloEM has no encoder .* use appendix_d"):
        marginal_likelihood.importance_sampling(chains, x)
    wide = LinearGaussian(pixels=8, latent=6)
    with pytest.warns(UserWarning, match="not reliable in 6 latent dimensions, only up to about 5"):
        marginal_likelihood.appendix_d(loose(wide), wide.draw(5))
    with pytest.warns(UserWarning, match="of 5 chains accept less than 50% .* raise burn_in"):
        marginal_likelihood.appendix_d(loose(LinearGaussian(noise=0.001)), x, burn_in=0)


@pytest.fixture
def astray():
    """A model whose encoder misses its posterior, 200 datapoints, and their log p(x)."""
    oracle = LinearGaussian(pixels=3, latent=1, noise=0.5)
    x = oracle.draw(200)
    model = oracle.vae(np.zeros((1, 3)), np.array([6.0]), np.array([-4.0]))
    return model, x, oracle.log_likelihood(x).mean()


def test_draws_from_the_prior_find_what_the_encoder_misses(astray):
    """Each draw counts by the mixture that it comes from, whatever the shares in it."""
    model, x, exact = astray

    def found(share):
        estimate = marginal_likelihood.importance_sampling(model, x, 4000, prior_share=share)
        return estimate.log_likelihood.mean()

    assert found(0.0) < exact - 5
    for share in (0.9, 0.5, 0.1):
        assert found(share) == pytest.approx(exact, abs=0.05)


def test_a_share_of_the_prior_leaves_a_draw_of_the_encoder_and_lies_below_one(astray):
    model, x, _ = astray
    one = marginal_likelihood.importance_sampling(model, x, 1, prior_share=0.9).log_likelihood
    assert np.all(np.isfinite(one))
    with pytest.raises(ValueError, match="prior_share is 1"):
        marginal_likelihood.importance_sampling(model, x, 10, prior_share=1)


def test_more_datapoints_than_seeds_of_32_bits():
    oracle = LinearGaussian(pixels=1, latent=1)
    a, c = oracle.posterior_map
    vae = oracle.vae(a, c, np.log(np.diag(oracle.posterior_covariance)))
    x = oracle.draw(4500)
    found = marginal_likelihood.importance_sampling(vae, x, 2).log_likelihood  # the exact posterior
    np.testing.assert_allclose(found, oracle.log_likelihood(x), atol=0.01)


# -------------------------------------------------------- densities fitted to clouds of any width


@tf.function  # once for all widths: one kernel after the other takes seconds outside a graph
def log_density(density, z, at):
    return marginal_likelihood.DENSITIES[density](z)(at)


@pytest.mark.parametrize("density", ["gaussian", "kde"])
@pytest.mark.parametrize("widths", [(7e-5, 7e-5), (1e5, 1e5), (1.0, 1e-4), (1e-8, 1e3)])
def test_a_density_fits_draws_of_any_width(density, widths):
    """Steps 2 and 3 of appendix D on draws of a known Gaussian: log p(x) is 0, whatever its unit.

    The density fitted to draws of 1 and 1 gives the measure: its error is the estimator's own.
    """
    rng = np.random.default_rng(0)
    turn = scipy.stats.ortho_group.rvs(2, random_state=0) if max(widths) <= 1 else np.eye(2)
    z = rng.normal(size=(200, 20, 2))

    def nats(z, log_p):
        log_q = log_density(
            density, *(tf.constant(half, tf.float32) for half in (z[:100], z[100:]))
        )
        log_q = log_q.numpy().astype("float64")
        return -scipy.special.logsumexp(log_q - log_p, axis=0) + np.log(100)

    log_p = scipy.stats.norm.logpdf(z[100:]).sum(-1)
    np.testing.assert_allclose(
        nats(z * widths @ turn.T, log_p - np.log(widths).sum()), nats(z, log_p), atol=0.02
    )


def test_a_chain_that_never_moved_gives_a_number():
    q = marginal_likelihood.DENSITIES["gaussian"](tf.ones((10, 3, 2)))
    assert np.all(np.isfinite(q(tf.ones((10, 3, 2)))))


@pytest.mark.long
def test_appendix_d_of_a_posterior_as_narrow_as_a_hair():
    oracle = LinearGaussian(w=np.ones((4, 1)), b=np.zeros(4), noise=1.4e-4)
    assert np.sqrt(oracle.posterior_covariance) == pytest.approx(7e-5, rel=0.01)
    x = oracle.draw(200)
    found = marginal_likelihood.appendix_d(loose(oracle), x, burn_in=300)
    error = found.log_likelihood - oracle.log_likelihood(x)
    assert np.mean(error) == pytest.approx(0, abs=0.05)


def test_log_p_of_x_with_a_positive_prior(any_encoder, make_vae, x):
    reals = tfd.Independent(tfd.Normal(tf.zeros(2), 1.0), 1)
    positive = tfd.Independent(tfd.LogNormal(tf.zeros(2), 1.0), 1)
    vae = make_vae(any_encoder(TFPDistribution("Gamma", 2)), prior=positive, estimator="A")
    assert np.all(
        np.isfinite(marginal_likelihood.importance_sampling(vae, x[:3], 10).log_likelihood)
    )
    with pytest.raises(ValueError, match=r"over \(0, inf\), but HMC here moves over all reals"):
        marginal_likelihood.appendix_d(vae, x[:3])
    wider = make_vae(any_encoder(TFPDistribution("Gamma", 2)), prior=reals, estimator="A")
    with pytest.raises(ValueError, match="leave it at 0, because these supports differ"):
        marginal_likelihood.importance_sampling(wider, x[:3], 10, prior_share=0.5)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("density", ["gaussian", "kde"])
def test_the_density_is_the_one_that_scipy_fits(density, dimensions):
    """With the covariance of the draws, and kernels of Scott's width: one for each datapoint."""
    rng = np.random.default_rng(0)
    turn = np.array([[1.0, 0.5, 0.2], [0.0, 0.3, -0.4], [0.0, 0.0, 0.7]])[:dimensions, :dimensions]
    z = rng.normal(size=(30, 4, dimensions)) @ turn + rng.normal(size=(4, dimensions))
    at = rng.normal(size=(7, 4, dimensions))
    found = marginal_likelihood.DENSITIES[density](tf.constant(z, tf.float32))(
        tf.constant(at, tf.float32)
    )
    for i in range(4):
        exact = (
            scipy.stats.multivariate_normal(z[:, i].mean(0), np.cov(z[:, i].T)).logpdf(at[:, i])
            if density == "gaussian"
            else scipy.stats.gaussian_kde(z[:, i].T).logpdf(at[:, i].T)
        )
        np.testing.assert_allclose(found[:, i], exact, rtol=1e-3, atol=1e-3)


# ------------------------------------------------------------------------------ the errors


@pytest.mark.long
def test_the_error_of_importance_sampling_is_that_over_seeds():
    oracle = LinearGaussian(latent=1)
    x, model = oracle.draw(100), loose(oracle)
    found = [
        marginal_likelihood.importance_sampling(model, x, 100, seed=seed) for seed in range(40)
    ]
    spread = np.std([estimate.log_likelihood for estimate in found], axis=0)
    said = np.mean([estimate.error for estimate in found], axis=0)
    assert np.mean(said / spread) == pytest.approx(1, abs=0.1)  # 40 seeds tell each to 11%
    assert np.std(said / spread) < 0.2


def test_the_error_is_nothing_at_the_exact_posterior():
    """There p(x, z) / q(z|x) is p(x), whatever z."""
    oracle = LinearGaussian(orthogonal=True)
    x = oracle.draw(10)
    found = marginal_likelihood.importance_sampling(oracle.exact_vae(), x, 100)
    np.testing.assert_allclose(found.log_likelihood, oracle.log_likelihood(x), atol=1e-3)
    np.testing.assert_allclose(found.error, 0, atol=5e-3)  # as far as float32 goes


def test_many_draws_of_a_density_of_thousands_of_nats_all_count():
    """In float32 the sum of 10,000 ratios of exp(-4348) would stop growing after some thousand."""
    weights = np.full(3072, 0.01, "float32")
    precision = 1 + np.sum(weights**2)

    class Wide:  # x of 3072 numbers; q is p(z|x), 1.3 times as wide
        prior = tfd.MultivariateNormalDiag([0.0])

        def decode(self, z):
            return tfd.MultivariateNormalDiag(z * weights, tf.ones_like(weights))

        def encode(self, x):
            mean = tf.linalg.matvec(x, weights)[:, None] / precision
            return tfd.MultivariateNormalDiag(mean, [np.float32(1.3 / np.sqrt(precision))])

    x = np.random.default_rng(0).normal(size=(3, 3072)).astype("float32")
    exact = -0.5 * (
        3072 * np.log(2 * np.pi)
        + np.log(precision)
        + np.sum(x.astype(float) ** 2, 1)
        - (x.astype(float) @ weights) ** 2 / precision
    )
    found = marginal_likelihood.importance_sampling(Wide(), x, 10_000)
    np.testing.assert_allclose(found.log_likelihood, exact, atol=0.03)
    few = marginal_likelihood.importance_sampling(Wide(), x, 100)
    np.testing.assert_allclose(found.error, few.error / 10, rtol=0.4)


def test_an_encoder_of_ones_own_gets_the_data_as_numbers():
    weights = tf.constant(np.random.default_rng(0).normal(size=(1, 4)), tf.float32)

    class Mine:
        prior = tfd.MultivariateNormalDiag([0.0])

        def decode(self, z):
            return tfd.Independent(tfd.Bernoulli(logits=tf.matmul(z, weights)), 1)

        def encode(self, x):
            return tfd.MultivariateNormalDiag(tf.matmul(x, weights, transpose_b=True))

    whole, raw = np.float32([[0, 0, 1, 1]]), np.uint8([[0, 0, 255, 255]])
    for share in (0.0, 0.5):
        estimates = [
            marginal_likelihood.importance_sampling(Mine(), x, 50, prior_share=share)
            for x in (whole, raw, whole.astype(float))
        ]
        np.testing.assert_allclose([found.log_likelihood for found in estimates][1:], 2 * [
            estimates[0].log_likelihood])  # fmt: skip


def test_the_error_along_a_chain_knows_that_neighbours_are_alike():
    """Of an AR(1) series, the mean of n of which has variance (1 + r) / (1 - r) / n of one."""
    rng, n, chains, r = np.random.default_rng(0), 2500, 200, 0.7
    values = np.empty((n, chains))
    values[0] = rng.normal(size=chains)
    for i in range(1, n):
        values[i] = r * values[i - 1] + np.sqrt(1 - r**2) * rng.normal(size=chains)
    small = 0.01  # so that the log of a mean is the mean of logs
    found = marginal_likelihood._error_of_log_mean(tf.constant(-5 + small * values, tf.float32))
    exact = small * np.sqrt((1 + r) / (1 - r) / n)
    assert np.mean(found) / exact == pytest.approx(1, abs=0.06)


def test_the_table_of_both_has_the_errors_of_means_and_names_where_they_disagree(monkeypatch):
    x, asked = np.zeros((4, 1)), []
    error = np.array([0.3, 0.0, 0.4, 0.0])

    def estimate(nats):
        def found(model, x, *settings, **options):
            asked.append((*settings, options))
            return marginal_likelihood.Estimate(np.array([-1.0, -2.0, -3.0, nats]), error)

        return found

    monkeypatch.setattr(marginal_likelihood, "appendix_d", estimate(-6.0))
    monkeypatch.setattr(marginal_likelihood, "importance_sampling", estimate(-10.0))
    model = types.SimpleNamespace(elbo=lambda x: next(bounds))
    bounds = iter(np.arange(10.0)[:, None] * np.ones(4))
    with pytest.warns(UserWarning, match=r"in 1 of 4 datapoints \(3\), by up to 4\.0 nats"):
        table = marginal_likelihood.compare(model, x)
    assert asked == [({},), (10_000, {"prior_share": 0.5})]
    assert table.nats.tolist() == [-3, -4, 4.5]
    of_ten = np.std(np.arange(10), ddof=1) / np.sqrt(10)
    assert table.error.tolist() == pytest.approx([0.125, 0.125, of_ten], abs=1e-3)
    assert table.estimator[2] == "lower bound"
    bounds = iter(np.arange(10.0)[:, None] * np.ones(4))
    monkeypatch.setattr(marginal_likelihood, "importance_sampling", estimate(-6.4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # as near as their errors allow
        marginal_likelihood.compare(model, x)


def test_a_table_says_before_anything_is_measured_that_it_needs_pandas(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r'compare needs pandas.*"vae-keras\[reproduction\]"'):
        marginal_likelihood.compare(None, None)
