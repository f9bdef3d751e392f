"""Wake-sleep: each phase against the exact gradients of a linear-Gaussian model."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from oracles.linear_gaussian import LinearGaussian
from oracles.weights import assert_same

import vae_keras
from vae_keras import _philox

A = np.array([[0.3, -0.2, 0.1, 0.4, 0.0], [-0.1, 0.2, 0.5, 0.0, 0.3]])  # not the exact posterior
C, LOG_VARIANCE = np.array([0.2, -0.4]), np.array([-0.5, 0.3])


@pytest.fixture(scope="module")
def oracle():
    return LinearGaussian()


def exact_wake_gradients(oracle, x):
    """Of -E_q log p(x|z), the mean over x, with respect to the decoder's kernel and bias."""
    m, w = x @ A.T + C, oracle.w.T
    residual = x - m @ w - oracle.b
    kernel = m.T @ residual / len(x) - np.diag(np.exp(LOG_VARIANCE)) @ w
    return -kernel / oracle.noise**2, -residual.mean(0) / oracle.noise**2


def exact_sleep_gradients(oracle):
    """Of -E_p(x,z) log q(z|x), with respect to the encoder's kernel and bias.

    x and r = z - (A x + c) are jointly Gaussian, so E[x r^2] = E[x] E[r^2] + 2 E[r] Cov(x, r).
    """
    variance, b = np.exp(LOG_VARIANCE), oracle.b
    mean_r = -(A @ b + C)
    covariance = oracle.w - oracle.covariance @ A.T  # of x and r
    a_w = A @ oracle.w
    square_r = 1 - 2 * np.diag(a_w) + np.diag(A @ oracle.covariance @ A.T) + mean_r**2
    x_r = covariance + np.outer(b, mean_r)
    x_square_r = np.outer(b, square_r) + 2 * covariance * mean_r
    kernel = [-x_r / variance, (b[:, None] - x_square_r / variance) / 2]
    bias = [-mean_r / variance, (1 - square_r / variance) / 2]
    return np.concatenate(kernel, axis=1), np.concatenate(bias)


RATE = 0.1  # of the steps


def steps_of(model, x):
    """The gradients by which one training step moves each weight."""
    before = [w.numpy() for w in model.trainable_variables]
    model.compile(
        keras.optimizers.SGD(RATE)
    )  # by XLA: on two devices the order of draws is not kept without
    model.fit(x, batch_size=len(x), shuffle=False, verbose=0)
    return [(b - w.numpy()) / RATE for b, w in zip(before, model.trainable_variables, strict=True)]


def wake_sleep(oracle, **options):
    return oracle.vae(A, C, LOG_VARIANCE, algorithm=vae_keras.WakeSleep, **options)


def test_each_phase_has_the_exact_gradient_and_moves_only_its_own_network(oracle):
    """First the decoder by the wake gradient; then the encoder by the sleep gradient as it is now.

    Which is far from what it was at the decoder before.
    """
    x = oracle.draw(400_000)
    steps = steps_of(wake_sleep(oracle), x)
    exact = kernel, bias = exact_wake_gradients(oracle, x)
    moved = LinearGaussian(w=oracle.w - RATE * kernel.T, b=oracle.b - RATE * bias)
    asleep = exact_sleep_gradients(moved)
    for step, gradient in zip(steps, [*asleep, *exact], strict=True):
        scale = 1 + np.abs(gradient)
        np.testing.assert_allclose(step / scale, gradient / scale, atol=0.02)
    for gradient, before in zip(asleep, exact_sleep_gradients(oracle), strict=True):
        assert np.max(np.abs(gradient - before) / (1 + np.abs(gradient))) > 0.2


def test_the_two_phases_are_as_if_each_had_an_optimiser_of_its_own(oracle):
    """Adam's, which counts the steps: one a minibatch."""
    x = oracle.draw(50)
    model, other = wake_sleep(oracle), wake_sleep(oracle)
    model.compile(keras.optimizers.Adam(0.05))
    model.fit(x, epochs=4, shuffle=False, verbose=0)
    assert int(model.optimizer.iterations.numpy()) == 4
    awake, asleep = keras.optimizers.Adam(0.05), keras.optimizers.Adam(0.05)
    theta, phi = other.decoder.trainable_variables, other.encoder.trainable_variables
    awake.build(theta)
    asleep.build(phi)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(other.bound(x, training=True).reconstruction)
        awake.apply(tape.gradient(loss, theta), theta)
        with tf.GradientTape() as tape:
            z, dreams = other.dream(len(x))
            loss = -tf.reduce_mean(other.encode(dreams, training=True).log_prob(z))
        asleep.apply(tape.gradient(loss, phi), phi)

    for _ in range(4):
        step()
    assert_same(model.trainable_variables, other.trainable_variables, atol=1e-5)


@pytest.mark.first(1)
@pytest.mark.parametrize(("frozen", "pulled"), [("encoder", "decoder"), ("decoder", "encoder")])
def test_the_weight_decay_and_the_regularisers_pull_both_networks(oracle, frozen, pulled):
    """Their kernels, by the gradient of 0.5 / 2 |kernel|^2 + 0.3 |kernel|^2: biases have no prior.

    The noise is the same, and, since the frozen network stays, so is all the rest.
    """
    plain, other = wake_sleep(oracle), wake_sleep(oracle, weight_decay=0.5)
    getattr(other, pulled).layers[0].kernel.regularizer = keras.regularizers.L2(0.3)
    kernel, bias = getattr(plain, pulled).get_weights()
    for model in (plain, other):
        getattr(model, frozen).trainable = False
    steps = [steps_of(model, oracle.draw(500)) for model in (plain, other)]
    assert int(other.optimizer.iterations.numpy()) == 1  # though there are two updates
    of_kernel, of_bias = (b - a for a, b in zip(*steps, strict=True))
    np.testing.assert_allclose(of_kernel, 1.1 * kernel, atol=1e-4)
    np.testing.assert_allclose(of_bias, 0, atol=1e-4)
    assert np.abs(kernel).max() > 0.1
    assert np.abs(bias).max() > 0.1


def test_asleep_the_encoder_is_told_of_training(any_decoder, gaussian):
    """Its BatchNormalization, which keeps the last it saw in training, has seen the dreams."""
    normalise = keras.layers.BatchNormalization(momentum=0.0)
    dense = keras.layers.Dense(gaussian.params_size)
    encoder = keras.Sequential([keras.Input((12,)), normalise, dense, gaussian])
    model = vae_keras.WakeSleep(encoder, any_decoder(), seed=1)
    model.decoder.set_weights([np.zeros((2, 12)), np.zeros(12)])  # dreams of a mean of 1/2
    model.compile(keras.optimizers.SGD(0.0))
    model.fit(np.full((2000, 12), 0.9, "float32"), batch_size=2000, verbose=0)
    np.testing.assert_allclose(normalise.moving_mean, 0.5, atol=0.06)


def test_dreams_are_drawn_from_the_model_and_not_its_means():
    oracle = LinearGaussian(orthogonal=True)
    model = oracle.vae(*oracle.posterior_map, LOG_VARIANCE, algorithm=vae_keras.WakeSleep)
    z, x = (draw.numpy() for draw in model.dream(40_000))
    np.testing.assert_allclose(np.cov(z.T), np.eye(2), atol=0.04)
    np.testing.assert_allclose(np.cov(x.T), oracle.covariance, atol=0.08)
    np.testing.assert_allclose(np.cov(x.T, z.T)[:5, 5:], oracle.w, atol=0.05)


@pytest.mark.long
@pytest.mark.parametrize("stream", [False, True])
def test_dreams_drawn_by_vectors_teach_the_same(make_vae, x, stream, monkeypatch):
    asked, weights, draw = [], [], _philox.uniform

    def counted(*args):
        asked.append(_philox._vectors.get())
        return draw(*args)

    monkeypatch.setattr(_philox, "uniform", counted)
    for _ in range(2):
        vae = make_vae()
        model = vae_keras.WakeSleep(vae.encoder, vae.decoder, seed=1)
        model.compile(jit_compile=True)
        data = tf.data.Dataset.from_tensor_slices(x).batch(32, drop_remainder=True)
        model.fit(data if stream else x, epochs=2, verbose=0)
        weights.append(model.get_weights())
        monkeypatch.setattr(_philox, "vectorised", lambda yes: contextlib.nullcontext())
    assert {True, False} == set(asked)
    assert_same(*weights, atol=1e-6)


def test_dreams_are_clipped_to_the_range_of_the_data(oracle, tmp_path):
    """And so is what the encoder learns from; codes are not."""
    plain, model = wake_sleep(oracle), wake_sleep(oracle, clip=(-0.5, 1))
    (z, x), (codes, dreams) = plain.dream(1000), model.dream(1000)
    np.testing.assert_array_equal(codes, z)
    np.testing.assert_array_equal(dreams, np.clip(x, -0.5, 1))
    assert (np.min(dreams), np.max(dreams)) == (-0.5, 1)
    assert np.mean((dreams == x).numpy()) > 0.2
    steps = steps_of(model, oracle.draw(500))
    assert not np.allclose(steps[0], steps_of(plain, oracle.draw(500))[0], atol=0.1)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert tuple(loaded.clip) == tuple(model.get_config()["clip"]) == (-0.5, 1)
    np.testing.assert_array_equal(loaded.dream(100)[1], model.dream(100)[1])
    assert wake_sleep(oracle).clip is None


@pytest.mark.parametrize("clip", [(1, 0), (0.5, 0.5), (0, 1, 2), (0.0,), 3])
def test_a_range_of_dreams_that_is_none_is_refused(oracle, clip):
    with pytest.raises(ValueError, match=r"clip is .*but must be None or \(low, high\), low"):
        wake_sleep(oracle, clip=clip)


def test_it_learns_a_linear_gaussian_model(oracle):
    """Where q can be almost exact, wake-sleep comes near log p(x)."""
    model = oracle.vae(0 * A, 0 * C, 0 * C, algorithm=vae_keras.WakeSleep)
    model.decoder.layers[0].set_weights([0.1 * np.ones((2, 5)), np.zeros(5)])
    x = oracle.draw(5000)
    model.compile(keras.optimizers.Adam(0.01))
    history = model.fit(x, epochs=30, verbose=0).history
    assert history["elbo"][0] < history["elbo"][-1] - 1
    assert model.elbo(x, n_samples=10).mean() > oracle.log_likelihood(x).mean() - 0.5


def test_it_is_a_keras_model(make_vae, x, tmp_path):
    vae = make_vae()
    model = vae_keras.WakeSleep(vae.encoder, vae.decoder, seed=1, weight_decay=0.01)
    model.compile()
    history = model.fit(x, epochs=3, verbose=0, validation_data=x).history
    assert history["loss"][-1] == pytest.approx(
        history["weight_decay"][-1] - history["elbo"][-1], rel=1e-5
    )
    assert "val_elbo" in history
    assert model.samples_evaluated == 600
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for one in (model, loaded):
        one.fit(x, epochs=2, verbose=0)
    np.testing.assert_array_equal(model.elbo(x), loaded.elbo(x))


@pytest.mark.first(1)
@pytest.mark.parametrize("algorithm", [vae_keras.VAE, vae_keras.WakeSleep])
def test_a_frozen_decoder_stays_as_it_is(make_vae, x, algorithm):
    model = make_vae()
    model.decoder.trainable = False
    model = algorithm(model.encoder, model.decoder, weight_decay=0.01)
    model.compile()
    before = model.decoder.get_weights(), model.encoder.get_weights()
    model.fit(x, verbose=0)
    assert_same(before[0], model.decoder.get_weights())
    assert not np.array_equal(before[1][0], model.encoder.get_weights()[0])
