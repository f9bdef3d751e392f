"""What a Keras user tries with a VAE works as Keras says."""

import subprocess
import sys

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
        squares = tf.add_n([tf.reduce_sum(w**2) for w in vae.trainable_variables])
        loss = -bound + squares / 2 / 250
    gradients = tape.gradient(loss, vae.trainable_variables)
    expected = [w - 0.02 * g / np.sqrt(0.1 + g**2) for w, g in zip(before, gradients, strict=True)]
    vae.fit(x, batch_size=250, shuffle=False, verbose=0)
    for a, b in zip(weights_of(vae), expected, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-6)


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


@pytest.mark.parametrize("kind", ["array", "pair", "list", "dataset", "uint8"])
def test_inputs_and_validation_data_of_every_kind(make_vae, x, kind):
    pixels = np.round(255 * x).astype(np.uint8)
    data = {
        "array": x,
        "pair": x,
        "list": [list(map(float, row)) for row in x],
        "dataset": tf.data.Dataset.from_tensor_slices(x).batch(100),
        "uint8": pixels,
    }[kind]
    held_out = {"pair": (x, None), "list": np.asarray(data)}.get(kind, data)
    history = make_vae().fit(data, validation_data=held_out, verbose=0).history
    assert np.isfinite(history["val_elbo"]).all()
    assert make_vae().evaluate(data, verbose=0)[0] > 0


def test_a_dataset_of_pairs_is_read_without_its_labels(make_vae, x):
    pairs = tf.data.Dataset.from_tensor_slices((x, np.zeros(250))).batch(100)
    vae, other = make_vae(seed=1), make_vae(seed=1)
    vae.fit(pairs, verbose=0)
    other.fit(tf.data.Dataset.from_tensor_slices(x).batch(100), verbose=0)
    assert_equal_weights(vae, other)


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


def test_early_stopping_and_checkpoints(make_vae, x, tmp_path):
    vae = make_vae()
    stop = keras.callbacks.EarlyStopping("val_loss", patience=0, min_delta=1e6)
    best = keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", save_best_only=True)
    history = vae.fit(x, validation_data=x, epochs=9, verbose=0, callbacks=[stop, best]).history
    assert len(history["loss"]) == 2
    assert_equal_weights(keras.saving.load_model(tmp_path / "best.keras"), vae)


def test_callbacks_know_which_way_is_better(make_vae, x, tmp_path):
    """None of them is given a mode."""
    vae, better = make_vae(), {"val_elbo": 1, "reconstruction": 1, "val_loss": 0, "kl": 0}
    callbacks = [
        [
            keras.callbacks.EarlyStopping(monitor),
            keras.callbacks.ModelCheckpoint(tmp_path / "b.keras", monitor, save_best_only=True),
            keras.callbacks.ReduceLROnPlateau(monitor),
        ]
        for monitor in better
    ]
    vae.fit(x, validation_data=x, verbose=0, callbacks=keras.tree.flatten(callbacks))
    found = [[bool(callback.monitor_op(1.0, 0.0)) for callback in three] for three in callbacks]
    assert found == [3 * [up] for up in better.values()]


def test_a_mode_that_is_given_is_kept_and_keras_asks_for_what_nobody_knows(make_vae, x):
    """Log p(x, z) is better where it is larger; an acceptance rate is neither good nor bad."""
    model = vae_keras.MonteCarloEM(make_vae().decoder, len(x))
    model.compile(jit_compile=False)
    stops = [keras.callbacks.EarlyStopping("log_joint", mode=mode) for mode in ("auto", "min")]
    model.fit(x, verbose=0, callbacks=stops)
    assert [bool(stop.monitor_op(1.0, 0.0)) for stop in stops] == [True, False]
    with pytest.raises(ValueError, match="Pass `mode='max'`"):
        model.fit(x, verbose=0, callbacks=keras.callbacks.EarlyStopping("acceptance"))


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
        vae.compile()
        vae.fit(x, epochs=2, verbose=0)
    assert_equal_weights(one, other)
    np.testing.assert_array_equal(one.sample(4), other.sample(4))
    keras.utils.set_random_seed(4)
    different = vae_keras.VAE(one.encoder, one.decoder)
    assert not np.array_equal(
        different.sample(4), vae_keras.VAE(one.encoder, one.decoder).sample(4)
    )


def test_noise_is_fresh_in_every_step_and_every_call(make_vae, x):
    vae = make_vae()
    assert not np.array_equal(vae.elbo(x), vae.elbo(x))
    assert not np.array_equal(vae.sample(3), vae.sample(3))


def assert_close_weights(one, other):
    for a, b in zip(weights_of(one), weights_of(other), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("jit_compile", [True, False])
@pytest.mark.parametrize("minibatches", [1, 2, "auto"])
def test_walking_over_an_array_equals_single_steps(make_vae, x, jit_compile, minibatches):
    """250 rows: two minibatches of 100 and a partial one; 2 at a time does not divide them."""
    walked, stepped = make_vae(seed=1), make_vae(seed=1)
    walked.compile(jit_compile=jit_compile, steps_per_execution=minibatches)
    walked.fit(x, epochs=2, verbose=0, shuffle=False)
    step = tf.function(stepped.train_step, jit_compile=jit_compile)
    stepped.optimizer.build(stepped.trainable_variables)
    for _ in range(2):
        for i in (0, 100, 200):
            step(x[i : i + 100])
    assert_close_weights(walked, stepped)
    assert walked.samples == stepped.samples == 500


def test_an_array_a_stream_and_eager_execution_agree(make_vae, x):
    array, stream, eager = (make_vae(seed=1) for _ in range(3))
    eager.compile(run_eagerly=True)
    array.fit(x, epochs=2, verbose=0, shuffle=False)
    stream.fit(tf.data.Dataset.from_tensor_slices(x).batch(100), epochs=2, verbose=0)
    eager.fit(x, epochs=2, verbose=0, shuffle=False)
    assert_close_weights(array, stream)
    assert_close_weights(array, eager)
    array.fit(tf.data.Dataset.from_tensor_slices(x).batch(100), verbose=0)  # and in turn
    stream.fit(x, verbose=0, shuffle=False)
    assert_close_weights(array, stream)


def test_every_row_comes_once_an_epoch_in_an_order_of_its_own(make_vae, x):
    vae = make_vae(seed=1)
    rows = iter(vae._rows(250, 250, 100, shuffle=True))
    epochs = [np.concatenate([next(rows) for _ in range(3)]) for _ in range(3)]
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(250))
    assert (epochs[0] != epochs[1]).mean() > 0.9
    assert (epochs[1] != epochs[2]).mean() > 0.9
    vae.fit(x, verbose=0)  # a second `fit` goes on where the first ended
    again = iter(vae._rows(250, 250, 250, shuffle=True))
    np.testing.assert_array_equal(next(again), epochs[1])
    np.testing.assert_array_equal(
        next(iter(vae._rows(250, 250, 250, shuffle=False))), np.arange(250)
    )


def test_batch_callbacks_are_called_as_steps_per_execution_says(make_vae, x):
    vae, seen = make_vae(), []
    callback = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(batch)
    )
    vae.fit(x, verbose=0, callbacks=[callback])
    assert seen == [2]
    vae.compile(jit_compile=False, steps_per_execution=1)
    vae.fit(x, verbose=0, callbacks=callback)
    assert seen == [2, 0, 1, 2]


def test_validation_covers_the_whole_set_whatever_was_compiled_before(make_vae, x):
    """Evaluation keeps its own number of steps an execution."""
    vae = make_vae()
    before = vae.evaluate(x, batch_size=50, verbose=0, return_dict=True)
    calls = []
    note = keras.callbacks.LambdaCallback(on_test_batch_end=lambda batch, logs: calls.append(batch))
    options = {"validation_data": x, "validation_batch_size": 50, "callbacks": [note]}
    history = vae.fit(x, epochs=2, verbose=0, **options).history
    assert calls == 2 * list(range(5))
    assert before["elbo"] < history["val_elbo"][-1]
    assert history["val_elbo"][-1] == pytest.approx(vae.evaluate(x, verbose=0)[1], abs=0.3)


def test_validation_split_takes_the_last_rows(make_vae, x):
    x = np.concatenate([x[:200], np.ones((50, 12), "float32")])
    vae = make_vae()
    history = vae.fit(x, validation_split=0.2, verbose=0).history
    assert vae.samples == 200
    assert history["val_elbo"][0] == pytest.approx(vae.elbo(x[200:]).mean(), abs=0.1)


def test_steps_per_epoch(make_vae, x):
    vae = make_vae()
    vae.fit(x, steps_per_epoch=1, epochs=2, verbose=0)
    assert vae.samples == 200
    vae.fit(x, steps_per_epoch=3, verbose=0)  # all of them, the partial one too
    assert vae.samples == 450
    with pytest.raises(ValueError, match="steps_per_epoch is 4, but these data have 3 minibatches"):
        vae.fit(x, steps_per_epoch=4)


def test_one_compilation_serves_all_epochs_and_calls(make_vae, x):
    vae = make_vae()
    traced = []
    step = vae.train_step
    vae.train_step = lambda data: traced.append(data.shape[0]) or step(data)
    for _ in range(3):
        vae.fit(x, epochs=3, verbose=0)
    assert sorted(set(traced)) == [50, 100]
    assert len(traced) <= 4  # tf.function may trace twice where it makes variables


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


@pytest.mark.parametrize("epochs", [1, 3])
def test_initial_epoch_and_history(make_vae, x, epochs):
    vae = make_vae()
    assert vae.fit(x, epochs=4, initial_epoch=4 - epochs, verbose=0).epoch == list(
        range(4 - epochs, 4)
    )


def test_shapes_of_what_a_model_gives(make_vae, x):
    vae = make_vae()
    assert tuple(vae.encode(x).event_shape) == (2,)
    assert tuple(vae.decode(np.zeros((3, 2), "float32")).event_shape) == (12,)
    assert vae.sample(7).shape == (7, 12)
    assert vae.reconstruct(x).shape == vae.predict(x, verbose=0).shape == x.shape
    assert vae.elbo(x, n_samples=3).shape == (250,)


def test_samples_are_drawn_from_the_model():
    """Of a linear-Gaussian model the moments of p(x) are known."""
    from oracles.linear_gaussian import LinearGaussian

    oracle = LinearGaussian(orthogonal=True)
    vae = oracle.exact_vae()
    draws = vae.sample(40_000)
    np.testing.assert_allclose(draws.mean(0), oracle.b, atol=0.05)
    np.testing.assert_allclose(np.cov(draws.T), oracle.covariance, atol=0.08)
    means = np.cov(vae.sample(40_000, mean=True).T)
    np.testing.assert_allclose(means, oracle.w @ oracle.w.T, atol=0.08)


LOADER = """
import keras, numpy as np, sys, vae_keras
vae = keras.saving.load_model(sys.argv[1] + "/vae.keras")
x = np.load(sys.argv[1] + "/x.npy")
outputs = {"reconstruct": vae.reconstruct(x), "sample": vae.sample(5), "elbo": vae.elbo(x)}
vae.fit(x, epochs=2, shuffle=False, verbose=0)
outputs |= {"bound_after": vae.elbo(x), "samples": vae.samples}
np.savez(sys.argv[1] + "/outputs.npz", **outputs)
"""


def test_a_model_loaded_in_a_new_process_goes_on_identically(make_vae, x, tmp_path):
    vae = make_vae(weight_decay=0.01)
    vae.fit(x, epochs=2, verbose=0)
    np.save(tmp_path / "x.npy", x)
    vae.save(tmp_path / "vae.keras")
    subprocess.run([sys.executable, "-c", LOADER, str(tmp_path)], check=True)
    loaded = np.load(tmp_path / "outputs.npz")
    for name, expected in (
        ("reconstruct", vae.reconstruct(x)),
        ("sample", vae.sample(5)),  # the same noise as the other process drew: it was saved
        ("elbo", vae.elbo(x)),
    ):
        np.testing.assert_array_equal(loaded[name], expected)
    vae.fit(x, epochs=2, shuffle=False, verbose=0)  # the optimiser's state was saved as well
    np.testing.assert_array_equal(loaded["bound_after"], vae.elbo(x))
    assert loaded["samples"] == vae.samples == 1000


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


def test_appendix_c_networks_are_drawn_from_n_0_001():
    keras.utils.set_random_seed(0)
    for network, sizes in (
        (networks.gaussian_encoder(784, 500, 20), [(784, 500), (500,), (500, 40), (40,)]),
        (networks.bernoulli_decoder(20, 500, 784), [(20, 500), (500,), (500, 784), (784,)]),
        (networks.gaussian_decoder(2, 200, 560), [(2, 200), (200,), (200, 1120), (1120,)]),
    ):
        weights = network.get_weights()
        assert [w.shape for w in weights] == sizes
        values = np.concatenate([w.ravel() for w in weights])
        assert np.std(values) == pytest.approx(0.01, rel=0.02)
        assert all(np.std(w) > 0 for w in weights)  # biases too
        assert network.get_layer("hidden").activation is keras.activations.tanh
