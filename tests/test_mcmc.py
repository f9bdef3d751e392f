"""HMC against exact posteriors."""

import types

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp
from oracles.linear_gaussian import Plain, alike, loose

from vae_keras import mcmc

tfd = tfp.distributions


def test_hmc_has_the_moments_of_the_exact_posterior():
    oracle = alike(3)
    x = oracle.draw(300)
    a, c = oracle.posterior_map
    chains = mcmc.draw(loose(oracle), x, 300)
    z = chains.z.numpy()
    scale = np.sqrt(np.diag(oracle.posterior_covariance))
    errors = (z.mean(0) - (x @ a.T + c)) / scale
    assert np.abs(errors.mean(0)).max() < 0.03
    assert np.sqrt(np.mean(errors**2)) < 0.35
    covariance = np.mean([np.cov(z[:, i].T) for i in range(len(x))], axis=0)
    np.testing.assert_allclose(
        covariance / np.outer(scale, scale),
        oracle.posterior_covariance / np.outer(scale, scale),
        atol=0.06,
    )
    assert 0.85 < chains.acceptance.numpy().mean() < 0.98
    assert chains.step_size.shape == (300,)


@pytest.mark.long
def test_hmc_of_any_densities_adapts_a_step_size_to_each():
    """A chain each of Gaussians whose widths differ by a thousand, and one that is none."""
    width = tf.constant([0.03, 1.0, 30.0, 1.0])

    def log_prob(z):  # the last one logistic
        u = z[:, 0] / width
        return tf.where(tf.range(4) < 3, -0.5 * u**2, -u - 2 * tf.math.softplus(-u))

    @tf.function
    def draw(target):
        start = tf.zeros((4, 1))
        return mcmc.hmc(log_prob, start, 2500, seed=tf.constant([0, 1]), burn_in=300, target=target)

    bold, careful = draw(0.6), draw(0.9)
    assert np.all((bold.acceptance > 0.5) & (bold.acceptance < 0.85))
    assert np.all((careful.acceptance > 0.82) & (careful.acceptance < 0.98))
    assert np.all(bold.step_size > careful.step_size)
    for found in (bold, careful):
        assert [part.shape for part in found] == [(2500, 4, 1), (2500, 4), (4,), (4,)]
        z = found.z.numpy()[:, :, 0] / width.numpy()
        np.testing.assert_allclose(z.std(0), [1, 1, 1, np.pi / np.sqrt(3)], rtol=0.12)
        np.testing.assert_allclose(z.mean(0), 0, atol=0.2)
        expected = [log_prob(state) for state in found.z[:20]]
        np.testing.assert_allclose(found.log_prob[:20], expected, rtol=1e-5)
        np.testing.assert_allclose(
            (found.step_size / width)[:3], (found.step_size / width)[1], rtol=0.6
        )


def test_each_move_takes_a_share_of_the_step_size_of_its_own():
    """On a Gaussian, at its mean, half a period of one length would end at the mirror image.

    Four steps of 0.77 are about half a period: they take z to -z, whoever the momentum was.
    """
    kernel = mcmc.Jittered(
        lambda z: -0.5 * tf.reduce_sum(z**2, -1), 0.77, 4, store_parameters_in_results=True
    )
    z = tf.constant([[2.0], [2.0]])
    results = kernel.bootstrap_results(z)

    @tf.function
    def ends(seeds):
        return tf.map_fn(lambda seed: kernel.one_step(z, results, seed=seed)[0], seeds, tf.float32)

    found = ends(tf.stack([tf.zeros(200, tf.int32), tf.range(200)], 1))[:, 0, 0]
    assert np.std(found) > 0.5
    assert np.mean(np.abs(found + 2) < 0.2) < 0.3
    _, after = kernel.one_step(z, results, seed=(0, 1))
    assert float(after.accepted_results.step_size) == pytest.approx(0.77)  # as it was


def test_log_joint_is_the_sum_of_both_for_any_number_of_draws():
    model, x = Plain(), np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    z = np.random.default_rng(1).normal(size=(5, 4, 2)).astype("float32")
    prior = scipy.stats.norm.logpdf(z).sum(-1)
    expected = prior + scipy.stats.norm(z @ model.w, model.noise).logpdf(x).sum(-1)
    np.testing.assert_allclose(mcmc.log_joint(model, x, z), expected, rtol=1e-5)
    np.testing.assert_allclose(mcmc.log_joint(model, x, z[0]), expected[0], rtol=1e-5)


# --------------------------------------------------------------------- where chains begin


def test_with_an_encoder_a_chain_begins_at_a_draw_from_it():
    model, x = Plain(), tf.ones((4, 3))
    start = mcmc.begin(model, x, tf.constant([0, 1]))
    np.testing.assert_array_equal(start, model.encode(x).sample(seed=(0, 1)))


def test_without_an_encoder_it_begins_at_a_draw_from_the_posterior():
    """As far as 500 draws from the prior have them: p(z) = N(0, 1), p(x|z) = N(z, 1/4)."""
    model = types.SimpleNamespace(
        prior=tfd.MultivariateNormalDiag([0.0]),
        decode=lambda z: tfd.Independent(tfd.Normal(z, 0.5), 1),
    )
    x = tf.repeat(tf.constant([[-1.0], [0.0], [1.5]]), 200, axis=0)
    start = tf.function(lambda seed: mcmc.begin(model, x, seed))
    z = np.stack([start(tf.constant([0, seed])) for seed in range(30)])[..., 0]
    z = z.reshape(30, 3, 200).transpose(1, 0, 2).reshape(3, -1)
    np.testing.assert_allclose(z.mean(1), [-0.8, 0, 1.2], atol=0.04)
    np.testing.assert_allclose(z.std(1), np.sqrt(0.2), rtol=0.08)
