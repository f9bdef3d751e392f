"""What every model with an encoder has: the bound's terms as metrics, the loss, its shapes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions


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


def test_the_metrics_are_means_over_datapoints_also_with_a_partial_minibatch(make_vae, x):
    vae = make_vae()
    losses = vae.evaluate(x, batch_size=100, verbose=0, return_dict=True)
    vae._evaluation_draws.assign(0)
    parts = [vae.bound(x[i : i + 100]).elbo for i in (0, 100, 200)]
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
    assert vae.elbo(x, n_samples=3).shape == (250,)
