"""What every latent-variable model has: how it reads data, its prior and decoder, its MAP term."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from oracles.linear_gaussian import LinearGaussian

import vae_keras
from vae_keras import layers, priors
from vae_keras.models import datapoints, latent_variable

tfd = tfp.distributions
PIXELS = 12


def test_uint8_pixels_are_intensities(make_vae, x):
    pixels = np.round(255 * x).astype(np.uint8)
    np.testing.assert_allclose(
        make_vae(seed=1).elbo(pixels), make_vae(seed=1).elbo(pixels / 255), rtol=1e-5
    )


def test_the_darkest_images_and_bits_of_other_types(make_vae, x):
    """An image may be black; 0 and 1 as bool or float32 are taken as they are."""
    assert np.all(np.isfinite(make_vae().elbo(np.zeros((2, 12), "uint8"))))
    bits = x > 0.5
    stream = tf.data.Dataset.from_tensor_slices(bits).batch(100)
    assert np.isfinite(make_vae().evaluate(stream, verbose=0)).all()
    for kind in ("float32", "int64"):
        np.testing.assert_array_equal(
            make_vae(seed=1).elbo(bits), make_vae(seed=1).elbo(bits.astype(kind))
        )


@pytest.mark.long
def test_counts_are_never_scaled(make_vae, any_decoder):
    """Whatever their type, in no use of a model."""
    counts = np.random.default_rng(0).poisson(3, size=(20, 12)).astype("uint8")
    found = []
    for data in (counts, counts.astype("float32")):
        keras.utils.set_random_seed(0)
        decoder = any_decoder(layers.TFPDistribution("Poisson", 12))
        vae = make_vae(decoder=decoder, seed=1)
        vae.fit(data, verbose=0)
        vae.fit(tf.data.Dataset.from_tensor_slices(data).batch(10), verbose=0)
        outputs = vae.elbo(data), vae.evaluate(data, verbose=0), vae.predict(data, verbose=0)
        estimate = vae_keras.marginal_likelihood.importance_sampling(vae, data, 5).log_likelihood
        chains = vae_keras.MonteCarloEM(decoder, 20, seed=1)
        loss = chains.measure(data, chains.chains)[0]
        found.append([*vae.get_weights(), *outputs, vae.encode(data).mean(), estimate, loss])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_counts_of_0_and_1_alone_are_counts(make_vae, x, any_decoder):
    vae = make_vae(decoder=any_decoder(layers.TFPDistribution("Poisson", 12)))
    assert np.all(np.isfinite(vae.elbo((x > 0.5).astype("uint8"))))


def test_noise_is_fresh_in_every_step_and_every_call(make_vae, x):
    vae = make_vae()
    assert not np.array_equal(vae.elbo(x), vae.elbo(x))
    assert not np.array_equal(vae.sample(3), vae.sample(3))


def test_samples_are_drawn_from_the_model():
    """Of a linear-Gaussian model the moments of p(x) are known."""
    oracle = LinearGaussian(orthogonal=True)
    vae = oracle.exact_vae()
    draws = vae.sample(40_000)
    np.testing.assert_allclose(draws.mean(0), oracle.b, atol=0.05)
    np.testing.assert_allclose(np.cov(draws.T), oracle.covariance, atol=0.08)
    means = np.cov(vae.sample(40_000, mean=True).T)
    np.testing.assert_allclose(means, oracle.w @ oracle.w.T, atol=0.08)


def test_training_is_told_to_the_networks(x, make_vae, gaussian):
    """A BatchNormalization that keeps the last it saw in training has seen the data."""
    normalise = keras.layers.BatchNormalization(momentum=0.0)
    dense = keras.layers.Dense(gaussian.params_size)
    vae = make_vae(keras.Sequential([keras.Input((PIXELS,)), normalise, dense, gaussian]))
    vae.evaluate(x, verbose=0)
    np.testing.assert_array_equal(normalise.moving_mean, np.zeros(PIXELS))
    vae.fit(x, batch_size=200, verbose=0)
    np.testing.assert_allclose(normalise.moving_mean, x.mean(0), atol=1e-5)


def test_another_prior_trains_and_is_saved_with_estimator_a(make_vae, x, tmp_path):
    prior = tfd.MixtureSameFamily(
        tfd.Categorical(probs=[0.3, 0.7]),
        tfd.MultivariateNormalDiag([[0.0, 0.0], [1.0, 1.0]], [[1.0, 1.0], [0.5, 0.5]]),
    )
    vae = make_vae(prior=prior, estimator="A")
    vae.fit(x, verbose=0)
    vae.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    z = prior.sample(5, seed=0)
    np.testing.assert_allclose(loaded.prior.log_prob(z), prior.log_prob(z), rtol=1e-6)
    np.testing.assert_array_equal(loaded.elbo(x), vae.elbo(x))


def settings_of(model):
    return [*model.NETWORKS, *model.SETTINGS]


@pytest.mark.parametrize("algorithm", ["VAE", "WakeSleep", "FullVB", "MonteCarloEM"])
def test_what_a_model_was_made_with_is_fixed(make_vae, x, algorithm):
    """A compiled step or bound would go on with the old one."""
    vae = make_vae(compiled=False)
    model = {
        "VAE": lambda: vae,
        "WakeSleep": lambda: vae_keras.WakeSleep(vae.encoder, vae.decoder),
        "FullVB": lambda: vae_keras.FullVB(vae.encoder, vae.decoder, n_train=10),
        "MonteCarloEM": lambda: vae_keras.MonteCarloEM(vae.decoder, 10),
    }[algorithm]()
    made_with = set(model.get_config()) - {"name", "trainable", "dtype", "input_shape"}
    assert made_with == set(settings_of(model))
    model.score(x[:5])
    for name in settings_of(model):
        before = getattr(model, name)
        with pytest.raises(AttributeError, match=f"the {name} of a {algorithm} is fixed.*another"):
            setattr(model, name, 3)
        assert getattr(model, name) is before


def test_it_is_fixed_before_the_first_data_too(make_vae, gaussian):
    dense = keras.layers.Dense(gaussian.params_size)
    vae = make_vae(keras.Sequential([dense, gaussian]))  # of an input shape not known yet
    assert not vae.built
    for name, value in (("estimator", "C"), ("prior", None), ("n_samples", 0)):
        with pytest.raises(AttributeError, match=f"the {name} of a VAE is fixed"):
            setattr(vae, name, value)


# ------------------------------------------------------------------ the MAP term, metrics


def test_the_decay_is_half_its_weight_times_the_squares(make_vae):
    """Of matrices and more; biases and scalars have no prior."""
    vae = make_vae(weight_decay=0.5, compiled=False)
    weights = [
        tf.constant(3.0), tf.constant([1.0, -2.0]), tf.reshape(tf.range(6.0), (2, 3)),
        tf.ones((2, 2, 5)),
    ]  # fmt: skip
    assert float(vae.decay(weights)) == pytest.approx(0.25 * (55 + 20))
    assert float(vae.decay(weights[2:3])) == pytest.approx(0.25 * 55)
    assert float(vae.decay(weights[:2])) == float(vae.decay([])) == 0
    assert float(make_vae(compiled=False).decay(weights)) == 0


def test_biases_are_known_by_what_they_are_and_a_learned_prior_is_no_weight(make_vae):
    """Attention and recurrent layers have biases of rank 2; a prior may be over matrices."""
    inputs = keras.Input((12,))
    h = keras.layers.Reshape((4, 3))(inputs)
    h = keras.layers.GRU(4)(keras.layers.MultiHeadAttention(2, 2)(h, h))
    h = keras.layers.Reshape((2, 4))(keras.layers.Dense(8)(h))
    matrices = layers.DiagonalGaussian((2, 2))
    encoder = keras.Model(inputs, matrices(h))
    flat, dense = keras.layers.Flatten(), keras.layers.Dense(12)
    decoder = keras.Sequential([keras.Input((2, 2)), flat, dense, layers.Bernoulli(12)])
    prior = priors.Learned(matrices)
    vae = make_vae(encoder, decoder, prior=prior, weight_decay=2.0, compiled=False)
    variables = vae.trainable_variables
    assert sum(len(w.shape) > 1 and w.name == "bias" for w in variables) == 4
    expected = 0.0
    for w in variables:
        if w.name != "bias" and w is not vae._prior.params:
            expected += float(tf.reduce_sum(w**2))
    for w in variables:
        if w.name == "bias" or w is vae._prior.params:
            w.assign(tf.ones_like(w))
    assert float(vae.decay(variables)) == pytest.approx(expected, rel=1e-5)


def test_metrics_are_means_over_datapoints(make_vae):
    """Of terms of each datapoint, and of means of a minibatch by its size."""
    vae = make_vae()
    vae.record(
        tf.constant(3), (1.0 * tf.ones([]), *3 * [tf.constant([1.0, 2.0, 6.0])], tf.ones([]))
    )
    logs = vae.record(tf.constant(1), (9.0 * tf.ones([]), *3 * [tf.constant([7.0])], tf.zeros([])))
    found = {name: float(value) for name, value in logs.items()}
    assert found == pytest.approx(
        {"loss": 3, "elbo": 4, "reconstruction": 4, "kl": 4, "weight_decay": 0.75}
    )
    # A device may have nothing of a minibatch, whose mean is then no number.
    nothing = (tf.constant(np.nan), *3 * [tf.zeros([0])], tf.constant(np.nan))
    logs = vae.record(tf.constant(0), nothing)
    assert {name: float(value) for name, value in logs.items()} == pytest.approx(found)


def test_losses_of_any_precision_add_up_in_float32():
    parts = (tf.constant(1.5), tf.constant(2.0, tf.float16), tf.constant(0.25, tf.bfloat16))
    found = latent_variable.total(*parts)
    assert found.dtype == tf.float32
    assert float(found) == 3.75


def test_datapoints_of_a_minibatch():
    x = np.ones((2, 3))
    for data in (x, (x,), (x, None), (x, 2 * x), (x, 2 * x, 3 * x)):
        np.testing.assert_array_equal(datapoints(data), x)


# ----------------------------------------------------------------------- its networks


def test_a_network_is_told_of_training_and_of_nothing_else():
    """Else a network within which training is switched on for good would be told otherwise."""
    seen = []

    class Told(keras.Model):
        def call(self, x, training=None):
            seen.append(training)
            return x

    for training in (True, False):
        latent_variable.run(Told(), tf.ones((1, 2)), training)
    assert seen == [True, None]


def test_the_layers_of_a_network_that_does_not_ask_are_told_of_training():
    """As those of a model within another are by Keras."""

    class Encoder(keras.Model):
        def __init__(self):
            super().__init__()
            self.drop, self.last = keras.layers.Dropout(0.5), layers.DiagonalGaussian(20)

        def call(self, x):
            return self.last(self.drop(x))

    for training, means in ((True, 2), (False, 1)):
        found = latent_variable.run(Encoder(), tf.ones((1, 40)), training).mean()
        assert len(np.unique(found)) == means


def test_a_prior_is_as_given_or_as_its_weights_are_now(make_vae):
    given = tfd.MultivariateNormalDiag([1.0, 2.0])
    assert make_vae(prior=given, estimator="A", compiled=False).prior is given
    learned = priors.Learned(layers.DiagonalGaussian(2))
    vae = make_vae(prior=learned, compiled=False)
    learned.params.assign([3.0, 4.0, 0.0, 0.0])
    np.testing.assert_allclose(vae.prior.mean(), [3, 4])
    assert any(weight is learned.params for weight in vae.trainable_variables)
    again = vae_keras.VAE.from_config(vae.get_config())
    assert isinstance(again._prior, priors.Learned)
    standard = make_vae(compiled=False).prior
    np.testing.assert_allclose(standard.log_prob([0.0, 0.0]), -np.log(2 * np.pi), rtol=1e-6)


@pytest.mark.parametrize("n", [1, 5])
def test_as_many_samples_as_are_asked_for(make_vae, n):
    vae = make_vae()
    assert set(np.unique(vae.sample(n))) <= {0, 1}
    means = vae.sample(n, mean=True)
    assert means.shape == (n, PIXELS)
    assert np.all((means > 0.4) & (means < 0.6))
