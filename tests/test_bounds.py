"""The SGVB estimators against closed forms, and against a model where all is known."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from oracles.linear_gaussian import LinearGaussian

import vae_keras
from vae_keras import marginal_likelihood
from vae_keras.bounds import ESTIMATORS, importance_weighted, sgvb_a, sgvb_b
from vae_keras.distributions import standard_normal
from vae_keras.layers import DiagonalGaussian

tfd = tfp.distributions
A, C = np.array([[0.3, -0.2, 0.1, 0.4, 0.0], [0.0, 0.2, -0.3, 0.1, 0.2]]), np.array([0.1, -0.2])
LOG_VARIANCE = np.array([-0.5, 0.3])  # with A and C: some q that is not the posterior


def some_posterior():
    mu, log_variance = np.array([[0.5, -1.0], [2.0, 0.1]]), np.array([[0.3, -2.0], [-0.5, 1.0]])
    layer = vae_keras.layers.DiagonalGaussian(2)
    return layer(np.concatenate([mu, log_variance], -1).astype("float32")), mu, log_variance


def test_kl_is_appendix_b():
    posterior, mu, log_variance = some_posterior()
    z = posterior.sample(1, seed=0)
    expected = -0.5 * np.sum(1 + log_variance - mu**2 - np.exp(log_variance), axis=-1)
    kl = sgvb_b(posterior, standard_normal(2), z, tf.zeros((1, 2))).kl
    np.testing.assert_allclose(kl, expected, rtol=1e-6)
    other = tfd.MultivariateNormalDiag(mu, np.exp(log_variance / 2))
    tfp_kl = tfd.kl_divergence(other, tfd.MultivariateNormalDiag(np.zeros(2), np.ones(2)))
    np.testing.assert_allclose(kl, tfp_kl, rtol=1e-6)


def test_sampled_kl_of_a_agrees_with_the_closed_form_of_b():
    posterior, _, _ = some_posterior()
    prior, z = standard_normal(2), posterior.sample(200_000, seed=0)
    sampled = sgvb_a(posterior, prior, z, tf.zeros(z.shape[:2])).kl
    error = tf.math.reduce_std(posterior.log_prob(z) - prior.log_prob(z), 0) / 200_000**0.5
    exact = sgvb_b(posterior, prior, z, tf.zeros(z.shape[:2])).kl
    np.testing.assert_array_less(abs(sampled - exact), 4 * error)


@pytest.mark.parametrize("estimator", ["A", "B"])
def test_the_mean_of_each_estimator_is_the_exact_bound(estimator):
    oracle = LinearGaussian()
    x = oracle.draw(6)
    vae = oracle.vae(A, C, LOG_VARIANCE, estimator=estimator)
    draws = np.stack([vae.elbo(x, n_samples=2000) for _ in range(20)])
    exact = oracle.bound(x, A, C, LOG_VARIANCE)
    np.testing.assert_array_less(abs(draws.mean(0) - exact), 5 * draws.std(0) / 20**0.5 + 1e-4)
    assert np.all(exact < oracle.log_likelihood(x))


def test_the_oracle_itself_agrees_with_brute_force():
    oracle = LinearGaussian(pixels=3, latent=1)
    x, z = oracle.draw(4), np.linspace(-10, 10, 4001)
    a, c, log_variance = np.array([[0.2, 0.1, -0.3]]), np.array([0.1]), np.array([-0.4])
    means = z[:, None] * oracle.w[:, 0] + oracle.b
    log_joint = (
        -0.5 * np.sum(((x[:, None] - means) / oracle.noise) ** 2, -1)
        - 3 * np.log(oracle.noise) - 2 * np.log(2 * np.pi) - 0.5 * z**2
    )  # fmt: skip
    step = z[1] - z[0]
    np.testing.assert_allclose(
        np.log(np.exp(log_joint).sum(1) * step), oracle.log_likelihood(x), atol=1e-6
    )
    mean, variance = x @ a.T + c, np.exp(log_variance)
    log_q = -0.5 * (z - mean) ** 2 / variance - 0.5 * np.log(2 * np.pi * variance)
    bound = np.sum(np.exp(log_q) * (log_joint - log_q), 1) * step
    np.testing.assert_allclose(bound, oracle.bound(x, a, c, log_variance), atol=1e-6)


def test_with_the_exact_posterior_a_single_sample_of_a_is_log_p_x():
    oracle = LinearGaussian(orthogonal=True)
    x = oracle.draw(50)
    vae = oracle.exact_vae(estimator="A")
    np.testing.assert_allclose(vae.elbo(x), oracle.log_likelihood(x), atol=1e-4)


def spread(vae, x):
    """The standard deviation of the estimate, a mean over datapoints."""
    return np.std([vae.elbo(x) for _ in range(300)], axis=0).mean()


def test_b_has_the_smaller_variance_where_training_begins(make_vae, x):
    """The decoder says little about z yet, so that A's noise is that of its sampled KL."""

    def vae(estimator):
        made = make_vae(estimator=estimator)  # its q(z|x) is nearly the prior, where A has none
        made.encoder.layers[-2].bias.assign([0.5, -0.5, -1.0, -1.0])
        return made

    assert spread(vae("B"), x) < 0.1 * spread(vae("A"), x)


def test_a_has_none_at_the_exact_posterior():
    """What the paper calls typical is not a law: here log p(x, z) - log q(z|x) is constant."""
    oracle = LinearGaussian(orthogonal=True)
    x = oracle.draw(20)
    assert spread(oracle.exact_vae(estimator="A"), x) < 1e-4
    assert spread(oracle.exact_vae(estimator="B"), x) > 0.5


@pytest.mark.first(1)
@pytest.mark.parametrize("estimator", ["A", "B"])
def test_more_samples_shrink_the_spread_as_one_over_root_l(estimator):
    oracle = LinearGaussian()
    vae, x = oracle.vae(A, C, LOG_VARIANCE, estimator=estimator), oracle.draw(20)
    one, many = (np.std([vae.elbo(x, n) for _ in range(200)], 0).mean() for n in (1, 16))
    assert 3.5 < one / many < 4.5


def gradients(vae, x):
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(vae.bound(x).elbo)
    return tape.gradient(loss, vae.trainable_variables)


@pytest.mark.parametrize("estimator", ["A", "B"])
def test_reparameterised_gradient_equals_finite_differences(estimator, x):
    """The same noise at each evaluation: then the estimate is a plain function of the weights."""
    keras.utils.set_random_seed(0)
    vae = vae_keras.VAE(
        vae_keras.networks.gaussian_encoder(12, 8, 2),
        vae_keras.networks.gaussian_decoder(2, 8, 12),
        estimator=estimator,
        n_samples=4,
        seed=1,
    )
    for weight in vae.trainable_variables:  # the tiny initial ones hide mistakes
        weight.assign(keras.random.normal(weight.shape, stddev=0.5, seed=weight.shape[0]))

    def bound_with_the_same_noise():
        vae._evaluation_draws.assign(7)
        return float(-tf.reduce_mean(tf.cast(vae.bound(x).elbo, tf.float64)))

    vae._evaluation_draws.assign(7)
    analytic = gradients(vae, x)
    rng = np.random.default_rng(0)
    for weight, gradient in zip(vae.trainable_variables, analytic, strict=True):
        value, direction = weight.numpy(), rng.normal(size=weight.shape).astype("float32")
        direction /= np.linalg.norm(direction)
        step, ends = 3e-3, []
        for sign in (1, -1):
            weight.assign(value + sign * step * direction)
            ends.append(bound_with_the_same_noise())
        weight.assign(value)
        difference = (ends[0] - ends[1]) / (2 * step)
        expected = float(tf.reduce_sum(gradient * direction))
        assert difference == pytest.approx(expected, rel=0.01, abs=5e-3), weight.path


@pytest.mark.first(1)
@pytest.mark.parametrize("estimator", ["A", "B"])
def test_the_mean_gradient_is_that_of_the_exact_bound(estimator):
    oracle = LinearGaussian()
    x = oracle.draw(10)
    vae = oracle.vae(A, C, LOG_VARIANCE, estimator=estimator, n_samples=1000)
    draws = np.stack([gradients(vae, x)[1] for _ in range(50)])  # of the encoder's c, log variance

    def exact_loss(shift):
        return -oracle.bound(x, A, C + shift[:2], LOG_VARIANCE + shift[2:]).mean()

    exact = [(exact_loss(1e-4 * e) - exact_loss(-1e-4 * e)) / 2e-4 for e in np.eye(4)]
    np.testing.assert_array_less(abs(draws.mean(0) - exact), 5 * draws.std(0) / 50**0.5 + 1e-4)


def test_training_reaches_the_maximum_likelihood_of_probabilistic_pca():
    """With a linear decoder the best bound is the best likelihood, known from eigenvalues."""
    truth = LinearGaussian(pixels=6, latent=2, noise=0.5, seed=4)
    x = truth.draw(2000)
    values = np.linalg.eigvalsh(np.cov(x.T, bias=True))[::-1]
    model = np.where(np.arange(6) < 2, values, truth.noise**2)  # of the best covariance
    best = -0.5 * np.sum(np.log(2 * np.pi * model) + values / model)
    keras.utils.set_random_seed(0)
    start = LinearGaussian(pixels=6, latent=2, noise=0.5, seed=9)
    vae = start.vae(np.zeros((2, 6)), np.zeros(2), np.zeros(2), n_samples=4)
    for step_size, epochs in ((0.03, 100), (0.003, 30)):
        vae.compile(keras.optimizers.Adam(step_size), steps_per_execution=20)
        vae.fit(x, epochs=epochs, batch_size=100, verbose=0)
    reached = vae.elbo(x, n_samples=100).mean()
    assert best - 0.05 < reached < best + 0.02


# ----------------------------------------------------------- the importance-weighted bound


def test_with_one_sample_it_is_estimator_a():
    q = DiagonalGaussian(2)(tf.constant([[0.5, -1.0, 0.3, -2.0]]))
    z, log_likelihood = q.sample(1, seed=0), tf.constant([[-3.0]])
    for one, other in zip(
        importance_weighted(q, standard_normal(2), z, log_likelihood),
        sgvb_a(q, standard_normal(2), z, log_likelihood),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_it_grows_with_k_up_to_log_p():
    oracle = LinearGaussian()
    a, c = oracle.posterior_map
    x = oracle.draw(500)
    wide = np.log(np.diag(oracle.posterior_covariance)) + 1.5
    vae = oracle.vae(a, c, wide, estimator="IW")
    bounds = [np.mean([vae.elbo(x, n_samples=k) for _ in range(20)]) for k in (1, 3, 10, 100)]
    exact = oracle.log_likelihood(x).mean()
    assert bounds[0] == pytest.approx(oracle.bound(x, a, c, wide).mean(), abs=0.1)
    assert np.all(np.diff(bounds) > 0.01)
    assert exact - 0.1 < bounds[-1] < exact + 0.02
    estimate = marginal_likelihood.importance_sampling(oracle.vae(a, c, wide), x, 10).log_likelihood
    assert estimate.mean() == pytest.approx(bounds[2], abs=0.05)  # the same number, in less memory


@pytest.mark.long
def test_as_objective_it_fits_a_model_with_a_poor_encoder_better():
    """The plain bound bends the model towards what its encoder can say; this one less."""
    oracle, keep = LinearGaussian(pixels=1, latent=1, noise=0.5, w=np.array([[1.0]])), {}
    x = oracle.draw(2000)
    for estimator, n_samples in (("A", 20), ("IW", 20)):
        vae = oracle.vae(np.zeros((1, 1)), np.zeros(1), np.zeros(1), estimator=estimator,
                         n_samples=n_samples)  # fmt: skip
        vae.encoder.trainable = False  # q(z|x) = p(z), whatever x
        vae.compile(keras.optimizers.Adam(0.02))
        vae.fit(x, epochs=15, verbose=0)
        keep[estimator] = abs(float(vae.decoder.layers[0].kernel[0, 0]))
    assert keep["A"] < 0.1  # the plain bound is best with a decoder that drops z
    assert keep["IW"] > 0.7


def test_its_terms_are_weighted_means():
    q, p = DiagonalGaussian(2)(tf.constant([[0.5, -1.0, 0.3, -2.0]])), standard_normal(2)
    z, log_likelihood = q.sample(4, seed=0), tf.constant([[-3.0], [-2.0], [-4.0], [-2.5]])
    bound = importance_weighted(q, p, z, log_likelihood)
    weights = np.exp(log_likelihood + p.log_prob(z) - q.log_prob(z))
    np.testing.assert_allclose(bound.elbo[0], np.log(weights.mean()), rtol=1e-5)
    expected = np.sum(weights * log_likelihood) / weights.sum()
    np.testing.assert_allclose(bound.reconstruction[0], expected, rtol=1e-5)


def test_its_gradient_is_that_of_each_sample_by_its_share():
    """Wake-sleep climbs `reconstruction`: a gradient through the shares would be another one."""
    q, p = DiagonalGaussian(2)(tf.constant([[0.5, -1.0, 0.3, -2.0]])), standard_normal(2)
    z, log_likelihood = q.sample(4, seed=0), tf.constant([[-3.0], [-2.0], [-4.0], [-2.5]])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(log_likelihood)
        bound = importance_weighted(q, p, z, log_likelihood)
    weights = np.exp(log_likelihood + p.log_prob(z) - q.log_prob(z))
    shares = weights / weights.sum(0)
    for term in (bound.elbo, bound.reconstruction):
        np.testing.assert_allclose(tape.gradient(term, log_likelihood), shares, rtol=1e-5)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_terms_of_every_estimator_are_of_each_datapoint_and_add_up(estimator):
    """elbo = reconstruction - kl, and no datapoint has a share of another's."""
    posterior, _, _ = some_posterior()
    prior, z = standard_normal(2), posterior.sample(5, seed=0)
    log_likelihood = tf.constant(np.random.default_rng(0).normal(-3, 1, (5, 2)), tf.float32)
    bound = ESTIMATORS[estimator](posterior, prior, z, log_likelihood)
    assert [term.shape for term in bound] == 3 * [(2,)]
    np.testing.assert_allclose(bound.elbo, bound.reconstruction - bound.kl, rtol=1e-5)
    changed = ESTIMATORS[estimator](posterior, prior, z, log_likelihood + tf.constant([0.0, 7.0]))
    np.testing.assert_array_equal([a[0] for a in changed], [a[0] for a in bound])
    np.testing.assert_allclose(changed.elbo[1], bound.elbo[1] + 7, rtol=1e-5)
    np.testing.assert_allclose(changed.kl[1], bound.kl[1], rtol=1e-5, atol=1e-5)
