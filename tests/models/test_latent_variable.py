"""What every latent-variable model has: how it reads data, its prior and decoder, its MAP term."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from oracles.linear_gaussian import LinearGaussian

import vae_keras
from vae_keras import layers

tfd = tfp.distributions
PIXELS, LATENT = 12, 2


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
        estimate = vae_keras.likelihood.importance_sampling(vae, data, 5).log_likelihood
        chains = vae_keras.MonteCarloEM(decoder, 20, seed=1)
        loss = chains.measure(data, chains.chains)[0]
        found.append([*vae.get_weights(), *outputs, vae.encode(data).mean(), estimate, loss])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_one_part_that_is_over_counts_is_enough(make_vae, any_decoder):
    parts = [layers.Bernoulli(4), layers.TFPDistribution("Geometric", 8)]
    data = np.tile(np.uint8([0, 1, 1, 0, 5, 0, 2, 0, 9, 1, 1, 3]), (3, 1))
    vae = make_vae(decoder=any_decoder(layers.Blockwise(parts)))
    np.testing.assert_array_equal(vae.read(data), data)
    reals = [layers.Bernoulli(4), layers.DiagonalGaussian(8)]
    vae = make_vae(decoder=any_decoder(layers.Blockwise(reals)))
    np.testing.assert_allclose(vae.read(data), data / 255)


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


def test_training_is_told_to_the_networks(x, make_vae):
    posterior = layers.DiagonalGaussian(LATENT)
    normalise = keras.layers.BatchNormalization()
    encoder = keras.Sequential(
        [keras.Input((PIXELS,)), normalise, keras.layers.Dense(posterior.params_size), posterior]
    )
    vae = make_vae(encoder)
    vae.evaluate(x, verbose=0)
    np.testing.assert_array_equal(normalise.moving_mean, np.zeros(PIXELS))
    vae.fit(x, epochs=150, verbose=0)
    np.testing.assert_allclose(normalise.moving_mean, x.mean(0), atol=0.05)


@pytest.mark.parametrize(
    "prior",
    [
        tfd.Independent(tfd.Laplace([0.0, 0.5], [1.0, 2.0]), 1),
        tfd.MultivariateNormalTriL([0.0, 1.0], [[1.0, 0.0], [0.5, 2.0]]),
        tfd.MixtureSameFamily(
            tfd.Categorical(probs=[0.3, 0.7]),
            tfd.MultivariateNormalDiag([[0.0, 0.0], [1.0, 1.0]], [[1.0, 1.0], [0.5, 0.5]]),
        ),
    ],
    ids=["laplace", "full_covariance", "mixture"],
)
def test_other_priors_train_and_save_with_estimator_a(make_vae, x, prior, tmp_path):
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
