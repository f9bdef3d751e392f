"""What every model with an encoder has: the bound's terms as metrics, the loss, its shapes."""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from oracles.linear_gaussian import LinearGaussian

import vae_keras
from vae_keras.models import AutoEncoder

ORTHOGONAL = LinearGaussian(orthogonal=True)  # whose exact posterior an encoder can be


def test_the_loss_is_minus_the_bound_plus_the_weight_decay(make_vae, x):
    vae = make_vae(weight_decay=0.01)
    history = vae.fit(x, epochs=2, verbose=0, validation_data=x).history
    names = ["loss", "elbo", "reconstruction", "kl", "weight_decay"]
    assert set(history) == {*names, *(f"val_{name}" for name in names)}
    last = [history[name][-1] for name in names], [history[f"val_{name}"][-1] for name in names]
    for loss, elbo, reconstruction, kl, decay in (*last, vae.evaluate(x, verbose=0)):
        assert elbo == pytest.approx(reconstruction - kl, rel=1e-5)
        assert loss == pytest.approx(decay - elbo, rel=1e-5)
        assert decay > 0


def test_the_metrics_are_means_over_datapoints_also_with_a_partial_minibatch(make_vae, uneven):
    vae = make_vae()
    losses = vae.evaluate(uneven, batch_size=100, verbose=0, return_dict=True)
    vae._evaluation_draws.assign(0)
    parts = [vae.bound(uneven[i : i + 100]).elbo for i in (0, 100, 200)]
    assert losses["elbo"] == pytest.approx(float(tf.reduce_mean(tf.concat(parts, 0))), rel=1e-5)


def test_the_networks_own_regularisers_are_part_of_the_loss(make_vae, x, gaussian):
    dense = keras.layers.Dense(gaussian.params_size, kernel_regularizer=keras.regularizers.L2(0.1))
    encoder = keras.Sequential([keras.Input((12,)), dense, gaussian])
    vae = make_vae(encoder)
    logs = vae.evaluate(x, verbose=0, return_dict=True)
    expected = 0.1 * np.sum(dense.kernel.numpy() ** 2) - logs["elbo"]
    assert logs["loss"] == pytest.approx(expected, rel=1e-5)


def test_shapes_of_what_a_model_gives(make_vae, x):
    vae = make_vae()
    assert tuple(vae.encode(x).event_shape) == (2,)
    assert tuple(vae.decode(np.zeros((3, 2), "float32")).event_shape) == (12,)
    assert vae.sample(7).shape == (7, 12)
    assert vae.reconstruct(x).shape == vae.predict(x, verbose=0).shape == x.shape
    assert vae.elbo(x, n_samples=3).shape == (200,)


@pytest.mark.parametrize("n", [1, 7, 14, 15])
def test_the_bound_of_each_datapoint_whatever_the_batches(n):
    """At the exact posterior it is log p(x), for any sample of z and any number of them."""
    vae, x = ORTHOGONAL.exact_vae(estimator="A"), ORTHOGONAL.draw(n)
    exact = ORTHOGONAL.log_likelihood(x)
    for n_samples in (1, 3):
        found = vae.elbo(x, n_samples, batch_size=7)
        np.testing.assert_allclose(found, exact, atol=1e-4)
        np.testing.assert_allclose(vae.bound(x, n_samples).elbo, exact, atol=1e-4)
    np.testing.assert_allclose(vae.score(x), exact, atol=1e-4)


def test_the_number_of_samples_is_the_models_unless_it_is_given(monkeypatch):
    """Seen by the spread, which is one over its root."""
    x = ORTHOGONAL.draw(1)
    x = np.repeat(x, 4000, axis=0)
    for algorithm in (vae_keras.VAE, vae_keras.WakeSleep):
        few, many = (
            ORTHOGONAL.exact_vae(estimator="B", n_samples=n, algorithm=algorithm) for n in (1, 16)
        )
        one = np.std(few.bound(x).reconstruction)
        assert np.std(many.bound(x).reconstruction) == pytest.approx(one / 4, rel=0.1)
        assert np.std(many.bound(x, 1).reconstruction) == pytest.approx(one, rel=0.1)
        assert np.std(few.bound(x, 16).reconstruction) == pytest.approx(one / 4, rel=0.1)


def test_a_reconstruction_is_the_decoders_mean_at_the_encoders():
    vae, x = ORTHOGONAL.exact_vae(), ORTHOGONAL.draw(5)
    a, c = ORTHOGONAL.posterior_map
    expected = (x @ a.T + c) @ ORTHOGONAL.w.T + ORTHOGONAL.b
    for found in (vae(x), vae.reconstruct(x), vae.predict(x, batch_size=2, verbose=0)):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    q = vae.encode(x)
    np.testing.assert_allclose(q.mean(), x @ a.T + c, rtol=1e-4, atol=1e-5)
    density = scipy.stats.norm(expected, ORTHOGONAL.noise).logpdf(x).sum(-1)
    np.testing.assert_allclose(vae.decode(q.mean()).log_prob(x), density, rtol=1e-4)


def test_the_weight_decay_is_over_both_networks_without_their_biases(make_vae, x):
    vae = make_vae(weight_decay=0.3)
    for network in (vae.encoder, vae.decoder):
        for weight in network.trainable_variables:
            weight.assign_add(tf.fill(weight.shape, 0.1))
    squares = [sum(np.sum(layer.kernel.numpy() ** 2) for layer in network.layers
                   if isinstance(layer, keras.layers.Dense))
               for network in (vae.encoder, vae.decoder)]  # fmt: skip
    logs = vae.evaluate(x, verbose=0, return_dict=True)
    assert logs["weight_decay"] == pytest.approx(0.15 * sum(squares), rel=1e-4)
    assert min(squares) > 0.01


def test_it_is_built_by_the_first_data_where_the_encoder_does_not_know_its_input(
    make_vae, x, gaussian
):
    vae = make_vae(keras.Sequential([keras.layers.Dense(gaussian.params_size), gaussian]))
    assert not vae.built
    assert (vae.estimator, vae.prior) == (None, None)
    with pytest.raises(ValueError, match=r"over \(12,\), but the encoder reads \(5,\)"):
        vae.build((None, 5))
    vae = make_vae(keras.Sequential([keras.layers.Dense(gaussian.params_size), gaussian]))
    assert vae.elbo(x).shape == (200,)
    assert vae.built
    assert vae.estimator == "B"
    assert vae.prior.event_shape == (2,)


@pytest.mark.parametrize("algorithm", [vae_keras.VAE, vae_keras.WakeSleep])
def test_it_survives_its_config(algorithm):
    model = ORTHOGONAL.exact_vae(
        algorithm=algorithm, estimator="A", n_samples=3, weight_decay=0.1, seed=7
    )
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model))
    assert type(again) is algorithm
    assert isinstance(again, AutoEncoder)
    for name in ("estimator", "n_samples", "weight_decay", "seed"):
        assert getattr(again, name) == getattr(model, name)
