"""The kit's own noise: drawn from the right distribution, and reparameterised as TFP's."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

from vae_keras import distributions

tfd = tfp.distributions


@pytest.mark.parametrize("jit_compile", [True, False])
def test_a_gaussian_has_its_cdf_and_its_gradient(jit_compile):
    loc, scale = tf.constant([-1.0, 2.0]), tf.constant([0.5, 3.0])

    @tf.function(jit_compile=jit_compile)
    def draw(loc, scale, seed):
        with tf.GradientTape() as tape:
            tape.watch([loc, scale])
            z = distributions.Normal(loc, scale).sample(20_000, seed=seed)
            mean_square = tf.reduce_sum(tf.reduce_mean(z**2, 0))
        return z, tape.gradient(mean_square, [loc, scale])

    z, gradients = draw(loc, scale, tf.constant([3, 7]))
    for i in range(2):
        assert scipy.stats.kstest(z[:, i], scipy.stats.norm(loc[i], scale[i]).cdf).pvalue > 1e-3
    np.testing.assert_allclose(gradients, [2 * loc, 2 * scale], rtol=0.06)  # of mu^2 + sigma^2
    assert abs(np.corrcoef(z.numpy().T)[0, 1]) < 0.03
    other = draw(loc, scale, tf.constant([3, 8]))[0]
    assert abs(np.corrcoef(z[:, 0], other[:, 0])[0, 1]) < 0.03


@pytest.mark.parametrize("jit_compile", [True, False])
def test_bernoulli_pixels_have_their_means(jit_compile):
    logits = tf.constant([[-2.0, 0.0, 1.5], [4.0, -0.5, 0.1]])
    draw = tf.function(
        lambda seed: distributions.Bernoulli(logits, dtype=tf.float32).sample(20_000, seed=seed),
        jit_compile=jit_compile,
    )
    x = draw(tf.constant([1, 2])).numpy()
    assert x.shape == (20_000, 2, 3)
    assert set(np.unique(x)) == {0, 1}
    np.testing.assert_allclose(x.mean(0), tf.sigmoid(logits), atol=0.015)


def test_they_are_tfps_in_all_else():
    ours, theirs = distributions.Normal(0.5, [1.0, 2.0]), tfd.Normal(0.5, [1.0, 2.0])
    assert ours.sample(3, seed=(0, 1)).shape == (3, 2)
    assert ours.reparameterization_type == tfd.FULLY_REPARAMETERIZED
    np.testing.assert_array_equal(ours.log_prob(1.0), theirs.log_prob(1.0))
    for q in (ours, theirs):
        np.testing.assert_allclose(tfd.kl_divergence(q, tfd.Normal(0.0, 1.0)), [0.125, 0.932], 1e-2)
    prior = distributions.deserialize(distributions.serialize(distributions.standard_normal(3)))
    assert type(prior.distribution) is distributions.Normal
