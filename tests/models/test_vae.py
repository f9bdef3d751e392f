"""What a Keras user tries with a VAE works as Keras says."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import vae_keras
from vae_keras import layers, networks

tfd = tfp.distributions


def weights_of(vae):
    return [weight.numpy() for weight in vae.trainable_variables]


def assert_equal_weights(one, other):
    for a, b in zip(weights_of(one), weights_of(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_algorithm_1_on_one_minibatch_equals_it_written_out(make_vae, x):
    """One train_step: Adagrad on the gradient of minus the bound plus the MAP term."""
    vae = make_vae(weight_decay=1 / 250, seed=5)
    adagrad = keras.optimizers.Adagrad(0.02, initial_accumulator_value=0.1, epsilon=0.0)
    vae.compile(adagrad, jit_compile=False)  # XLA draws other noise from the same seed
    before = weights_of(vae)
    with tf.GradientTape() as tape:
        q = vae.encoder(x)
        noise = tf.random.stateless_normal((1, 250, 2), seed=(5, 1), alg="philox")
        z = (q.mean() + q.stddev() * noise)[0]
        kl = tfd.kl_divergence(q, vae.prior)
        bound = tf.reduce_mean(vae.decoder(z).log_prob(x) - kl)
        matrices = [w for w in vae.trainable_variables if w.path.endswith("kernel")]
        squares = tf.add_n([tf.reduce_sum(w**2) for w in matrices])  # biases have no prior
        loss = -bound + squares / 2 / 250
    gradients = tape.gradient(loss, vae.trainable_variables)
    expected = [w - 0.02 * g / np.sqrt(0.1 + g**2) for w, g in zip(before, gradients, strict=True)]
    vae.fit(x, batch_size=250, shuffle=False, verbose=0)
    for a, b in zip(weights_of(vae), expected, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-6)


def test_early_stopping_and_checkpoints(make_vae, x, tmp_path):
    vae = make_vae()
    stop = keras.callbacks.EarlyStopping("val_loss", patience=0, min_delta=1e6)
    best = keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", save_best_only=True)
    history = vae.fit(x, validation_data=x, epochs=9, verbose=0, callbacks=[stop, best]).history
    assert len(history["loss"]) == 2
    assert_equal_weights(keras.saving.load_model(tmp_path / "best.keras"), vae)


def test_tensorboard(make_vae, x, tmp_path):
    make_vae().fit(x, verbose=0, callbacks=[keras.callbacks.TensorBoard(tmp_path)])
    (events,) = tmp_path.rglob("events*")
    names = {
        value.tag
        for event in tf.compat.v1.train.summary_iterator(str(events))
        for value in event.summary.value
    }
    assert "epoch_elbo" in names


def test_set_random_seed_reproduces_everything(make_vae, x):
    one, other = make_vae(), make_vae()  # make_vae sets the seed
    for vae in (one, other):
        vae.fit(x, epochs=2, verbose=0)
    assert_equal_weights(one, other)
    np.testing.assert_array_equal(one.sample(4), other.sample(4))
    keras.utils.set_random_seed(4)
    different = vae_keras.VAE(one.encoder, one.decoder)
    assert not np.array_equal(
        different.sample(4), vae_keras.VAE(one.encoder, one.decoder).sample(4)
    )


def test_mixed_precision(x):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        vae = vae_keras.VAE(
            networks.gaussian_encoder(12, 8, 2), networks.bernoulli_decoder(2, 8, 12)
        )
    finally:
        keras.config.set_dtype_policy("float32")
    vae.compile()
    first, *_, last = vae.fit(x, epochs=5, verbose=0).history["loss"]
    assert last < first
    assert vae.encoder.get_layer("hidden").compute_dtype == "float16"


@pytest.mark.parametrize(
    ("policy", "algorithm"),
    [
        ("mixed_bfloat16", "vae"),
        *(("mixed_float16", name) for name in ("vae", "wake_sleep", "mcem")),
    ],
)
def test_mixed_precision_with_regularisers(x, any_encoder, policy, algorithm):
    """An activity regulariser's loss has the type that the layer computes in, the bound float32."""
    keras.config.set_dtype_policy(policy)
    try:
        options = {"activity_regularizer": "l2", "kernel_regularizer": "l2"}
        q, p = layers.DiagonalGaussian(2), layers.Bernoulli(12)
        encoder, decoder = (
            keras.Sequential(
                [keras.Input((n,)), keras.layers.Dense(head.params_size, **options), head]
            )
            for n, head in ((12, q), (2, p))
        )
    finally:
        keras.config.set_dtype_policy("float32")
    model = {
        "vae": lambda: vae_keras.VAE(encoder, decoder),
        "wake_sleep": lambda: vae_keras.WakeSleep(encoder, decoder),
        "mcem": lambda: vae_keras.MonteCarloEM(decoder, len(x)),
    }[algorithm]()
    model.compile(jit_compile=False)
    logs = {name: values[-1] for name, values in model.fit(x, verbose=0).history.items()}
    assert logs["loss"] > -logs.get("elbo", logs.get("log_joint"))
    assert np.all(np.isfinite(model.evaluate(x[:10], verbose=0)))


def test_images_and_other_networks(tmp_path):
    """Convolutions, subclass-free but deep; an event of rank 3."""
    keras.utils.set_random_seed(0)
    images = np.random.default_rng(0).uniform(size=(60, 8, 8, 1)).astype("float32")
    q, p = layers.DiagonalGaussian(3), layers.Bernoulli((8, 8, 1))
    encoder = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(4, 3, strides=2, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(q.params_size),
            q,
        ]
    )
    decoder = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(64), keras.layers.Reshape((8, 8, 1)), p]
    )
    vae = vae_keras.VAE(encoder, decoder)
    vae.compile(keras.optimizers.Adam(0.01))
    first, *_, last = vae.fit(images, epochs=10, batch_size=20, verbose=0).history["elbo"]
    assert last > first
    vae.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    np.testing.assert_array_equal(loaded.reconstruct(images), vae.reconstruct(images))
