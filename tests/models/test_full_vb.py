"""Full VB (appendix F) beside Bayesian linear regression, whose exact posterior is known."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from vae_keras import FullVB
from vae_keras.layers import DiagonalGaussian, TFPDistribution
from vae_keras.models.full_vb import UNIT

NOISE, N = 0.5, 400
TINY = -20.0  # log variance of an encoder that is all but a point


class Regression:
    """y = u w + b + noise, as a latent-variable model whose code z is u, read off x = (u, y)."""

    def __init__(self):
        rng = np.random.default_rng(0)
        # Orthogonal columns that sum to nothing: then the exact posterior has no covariances.
        u = np.linalg.qr(np.c_[np.ones(N), rng.normal(size=(N, 2))])[0][:, 1:] * np.sqrt(N)
        self.u = u * [1.0, 0.3]
        self.y = self.u @ [0.8, -0.5] + 0.3 + NOISE * rng.normal(size=N)
        self.x = np.c_[self.u, self.y].astype("float32")
        design = np.c_[self.u, np.ones(N)]
        precision = np.eye(3) + design.T @ design / NOISE**2
        self.std = np.sqrt(np.diag(np.linalg.inv(precision)))
        self.mean = np.linalg.solve(precision, design.T @ self.y / NOISE**2)

    def model(self, **kwargs):
        keras.utils.set_random_seed(0)
        posterior = DiagonalGaussian(2)
        encoder = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), posterior])
        kernel = np.zeros((3, 4))
        kernel[:2, :2] = np.eye(2)
        encoder.layers[0].set_weights([kernel, np.array([0, 0, TINY, TINY])])
        encoder.trainable = False
        return FullVB(encoder, Predict(), N, seed=1, **kwargs)


@keras.saving.register_keras_serializable(package="tests")
class Predict(keras.Model):
    """p(x|z, theta): u as z says, whatever theta; y from z by one linear unit."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.linear = keras.layers.Dense(1, kernel_initializer="zeros")
        self.likelihood = TFPDistribution("Normal", 3, fixed={"scale": NOISE})

    def build(self, input_shape):
        self.linear.build(input_shape)

    def call(self, z):
        return self.likelihood(tf.concat([z, self.linear(z)], axis=-1))


@pytest.fixture(scope="module")
def regression():
    return Regression()


MEAN, STD = np.array([0.5, -0.2, 0.1]), np.array([0.3, 0.2, 0.1])  # some q(theta)


def with_some_q(model):
    """The model, its q(theta) of MEAN and STD."""
    model.decoder.linear.set_weights([MEAN[:2, None], MEAN[2:]])
    for variable, value in zip(
        model.log_variances, np.split(2 * np.log(STD) / UNIT, [2]), strict=True
    ):
        variable.assign(value.reshape(variable.shape))
    return model


def test_it_finds_the_exact_posterior(regression):
    model = regression.model()
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.03, 4000)))
    model.fit(regression.x, steps_per_epoch=4000, batch_size=100, shuffle="replacement", verbose=0)
    means = np.concatenate([np.ravel(w) for w in model.decoder.trainable_variables])
    stds = np.concatenate([np.ravel(q.stddev()) for q in model.q_theta()])
    np.testing.assert_allclose(means, regression.mean, atol=0.2 * regression.std.max())
    np.testing.assert_allclose(stds, regression.std, rtol=0.1)


def test_the_bound_and_its_gradient_are_those_in_closed_form(regression):
    """E_q(theta) log p(y|u, theta) is a quadratic form; so are its gradients."""
    model = with_some_q(regression.model())
    design = np.c_[regression.u, np.ones(N)]
    residual = regression.y - design @ MEAN
    noise = NOISE**2
    exact = -0.5 * np.log(2 * np.pi * noise) - 0.5 * (residual**2 + design**2 @ STD**2) / noise
    of_u = -np.log(2 * np.pi * noise)  # u is met exactly: two Gaussians at their means
    variables = [*model.decoder.trainable_variables, *model.log_variances]

    @tf.function
    def draw():
        with tf.GradientTape() as tape:
            estimate = tf.reduce_mean(model.bound(regression.x).reconstruction)
        gradients = tape.gradient(estimate, variables)
        return tf.concat([tf.reshape(v, [-1]) for v in (estimate, *gradients)], 0)

    estimate, *found = np.mean([draw() for _ in range(4000)], axis=0)
    assert estimate == pytest.approx(exact.mean() + of_u, abs=0.03)
    by_mean = design.T @ residual / noise / N
    by_log_variance = -0.5 * np.mean(design**2, 0) * STD**2 / noise
    np.testing.assert_allclose(found[:3], by_mean, atol=0.08)
    np.testing.assert_allclose(np.array(found[3:]) / UNIT, by_log_variance, atol=0.08)


def test_the_kl_of_the_parameters(regression):
    model = regression.model(weight_decay=0.1)
    weights = np.concatenate([np.ravel(w) for w in model.decoder.trainable_variables])
    variance = float(model.q_theta()[0].variance()[0, 0])
    kl = 0.5 * np.sum(variance + weights**2 - 1 - np.log(variance)) / N
    assert float(model.decay(model.trainable_variables)) == pytest.approx(kl, rel=1e-5)


def test_the_encoder_has_its_own_decay(x, make_vae):
    vae = make_vae(compiled=False)
    plain, decayed = (FullVB(vae.encoder, vae.decoder, 10, weight_decay=w) for w in (0.0, 0.5))
    for weight in vae.encoder.trainable_variables:
        weight.assign_add(tf.fill(weight.shape, 0.1))
    kernels = [w for w in vae.encoder.trainable_variables if w.shape.rank == 2]
    squares = sum(np.sum(np.square(w)) for w in kernels)  # biases have no prior
    difference = float(decayed.decay(None)) - float(plain.decay(None))
    assert difference == pytest.approx(0.25 * squares, abs=1e-4)
    assert len(kernels) == 2


def test_a_decoder_with_state_is_refused(any_encoder):
    layer = TFPDistribution("Normal", 12)
    dropout = [keras.Input((2,)), keras.layers.Dropout(0.1), keras.layers.Dense(24), layer]
    with pytest.raises(ValueError, match="without frozen weights, Dropout"):
        FullVB(any_encoder(DiagonalGaussian(2)), keras.Sequential(dropout), 10)


def test_a_decoder_that_is_frozen_later_is_refused(make_vae, x):
    vae = make_vae()
    model = FullVB(vae.encoder, vae.decoder, n_train=200)
    model.compile()
    vae.decoder.layers[-2].trainable = False
    with pytest.raises(ValueError, match="2 of the decoder's are trainable now"):
        model.fit(x, verbose=0)


def test_it_behaves_like_keras(x, make_vae, tmp_path):
    vae = make_vae(compiled=False)
    model = FullVB(vae.encoder, vae.decoder, len(x), weight_decay=1 / len(x), seed=2)
    model.compile()
    history = model.fit(x, epochs=2, validation_data=x[:50], verbose=0).history
    last = {name: values[-1] for name, values in history.items()}
    assert last["loss"] == pytest.approx(last["kl_parameters"] - last["elbo"], rel=1e-5)
    assert last["kl_parameters"] > 0
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.n_train == len(x)
    np.testing.assert_array_equal(again.elbo(x), model.elbo(x))  # the same noise, the same theta
    assert model.sample(3).shape == (3, x.shape[1])


def test_n_train_must_be_given_and_positive(make_vae):
    vae = make_vae(compiled=False)
    with pytest.raises(ValueError, match="n_train is 0, but must be an integer of at least 1"):
        FullVB(vae.encoder, vae.decoder, 0)


def test_each_draw_of_theta_is_one_of_q_theta(regression):
    """Of every number: its mean, its width, and no share in that of another."""
    model = with_some_q(regression.model())
    z = tf.constant([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])  # w1 + b, w2 + b and b, in this order

    @tf.function
    def draw(training):
        return model.decode_sampled(z, training).mean()[:, 2]

    for training in (True, False):
        y = np.array([draw(training) for _ in range(2000)])
        theta = np.c_[y[:, 0] - y[:, 2], y[:, 1] - y[:, 2], y[:, 2]]
        np.testing.assert_allclose(theta.mean(0), MEAN, atol=0.03)
        np.testing.assert_allclose(theta.std(0), STD, rtol=0.07)
        np.testing.assert_allclose(np.corrcoef(theta.T), np.eye(3), atol=0.09)
    at_the_means = model.decode(z).mean()[:, 2]
    np.testing.assert_allclose(at_the_means, [0.6, -0.1, 0.1], rtol=1e-5)


def test_q_theta_begins_narrow_about_the_decoders_own_weights(regression):
    model = regression.model()
    for q, weight in zip(model.q_theta(), model.decoder.trainable_variables, strict=True):
        np.testing.assert_array_equal(q.mean(), weight)
        np.testing.assert_allclose(q.stddev(), np.full(weight.shape, 0.05), rtol=1e-5)
