"""What a Keras user tries with a VAE works as Keras says."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from oracles.linear_gaussian import LinearGaussian
from oracles.weights import assert_same, precision

import vae_keras
from vae_keras import layers, networks

tfd = tfp.distributions


def weights_of(vae):
    return [weight.numpy() for weight in vae.trainable_variables]


def test_algorithm_1_on_one_minibatch_equals_it_written_out(make_vae, x):
    """One train_step: Adagrad on the gradient of minus the bound plus the MAP term."""
    vae = make_vae(weight_decay=1 / 200, seed=5)
    adagrad = keras.optimizers.Adagrad(0.02, initial_accumulator_value=0.1, epsilon=0.0)
    vae.compile(adagrad)  # XLA draws other noise from the same seed
    before = weights_of(vae)
    with tf.GradientTape() as tape:
        q = vae.encoder(x)
        noise = tf.random.stateless_normal((1, 200, 2), seed=(5, 1), alg="philox")
        z = (q.mean() + q.stddev() * noise)[0]
        kl = tfd.kl_divergence(q, vae.prior)
        bound = tf.reduce_mean(vae.decoder(z).log_prob(x) - kl)
        matrices = [w for w in vae.trainable_variables if w.path.endswith("kernel")]
        squares = tf.add_n([tf.reduce_sum(w**2) for w in matrices])  # biases have no prior
        loss = -bound + squares / 2 / 200
    gradients = tape.gradient(loss, vae.trainable_variables)
    expected = [w - 0.02 * g / np.sqrt(0.1 + g**2) for w, g in zip(before, gradients, strict=True)]
    vae.fit(x, batch_size=200, shuffle=False, verbose=0)
    assert_same(weights_of(vae), expected, atol=2e-6)


def test_early_stopping_and_checkpoints(make_vae, x, tmp_path):
    vae = make_vae()
    stop = keras.callbacks.EarlyStopping("val_loss", patience=0, min_delta=1e6)
    best = keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", save_best_only=True)
    history = vae.fit(x, validation_data=x, epochs=9, verbose=0, callbacks=[stop, best]).history
    assert len(history["loss"]) == 2
    best = keras.saving.load_model(tmp_path / "best.keras")
    assert_same(weights_of(best), weights_of(vae))


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
    assert_same(weights_of(one), weights_of(other))
    np.testing.assert_array_equal(one.sample(4), other.sample(4))
    keras.utils.set_random_seed(4)
    different = vae_keras.VAE(one.encoder, one.decoder)
    assert not np.array_equal(
        different.sample(4), vae_keras.VAE(one.encoder, one.decoder).sample(4)
    )


def test_mixed_precision(x):
    with precision("mixed_float16"):
        vae = vae_keras.VAE(*networks_of(x))
    vae.compile()
    first, *_, last = vae.fit(x, epochs=5, verbose=0).history["loss"]
    assert last < first
    assert vae.encoder.get_layer("hidden").compute_dtype == "float16"


@pytest.mark.first(1)
@pytest.mark.parametrize(
    ("policy", "algorithm"),
    [
        ("mixed_bfloat16", "vae"),
        *(("mixed_float16", name) for name in ("vae", "wake_sleep", "mcem")),
    ],
)
def test_mixed_precision_with_regularisers(x, any_encoder, policy, algorithm):
    """An activity regulariser's loss has the type that the layer computes in, the bound float32."""
    with precision(policy):
        options = {"activity_regularizer": "l2", "kernel_regularizer": "l2"}
        q, p = layers.DiagonalGaussian(2), layers.Bernoulli(12)
        encoder, decoder = (
            keras.Sequential(
                [keras.Input((n,)), keras.layers.Dense(head.params_size, **options), head]
            )
            for n, head in ((12, q), (2, p))
        )
    model = {
        "vae": lambda: vae_keras.VAE(encoder, decoder),
        "wake_sleep": lambda: vae_keras.WakeSleep(encoder, decoder),
        "mcem": lambda: vae_keras.MonteCarloEM(decoder, len(x)),
    }[algorithm]()
    model.compile()
    logs = {name: values[-1] for name, values in model.fit(x, verbose=0).history.items()}
    assert logs["loss"] > -logs.get("elbo", logs.get("log_joint"))
    assert np.all(np.isfinite(model.evaluate(x[:10], verbose=0)))


# ------------------------------------------------------------------- a weight of the KL


def networks_of(x):
    keras.utils.set_random_seed(0)
    n = x.shape[1]
    return networks.gaussian_encoder(n, 8, 2), networks.bernoulli_decoder(2, 8, n)


def written_out(vae, x, weight, number):
    """The gradient of -(log p(x|z) - weight KL) at the sample z that has this number."""
    with tf.GradientTape() as tape:
        q, p = vae.encoder(x), vae.prior
        noise = tf.random.stateless_normal((1, len(x), 2), (vae.seed, number), alg="philox")
        z = (q.mean() + q.stddev() * noise)[0]
        sampled = vae.estimator == "A"
        kl = q.log_prob(z) - p.log_prob(z) if sampled else tfd.kl_divergence(q, p)
        reconstruction = vae.decoder(z).log_prob(x)
        loss = -tf.reduce_mean(reconstruction - weight * kl if weight else reconstruction)
    return tape.gradient(loss, vae.trainable_variables, unconnected_gradients="zero")


@pytest.mark.first(4)
@pytest.mark.parametrize("estimator", ["A", "B"])
@pytest.mark.parametrize("weight", [0, 0.3, 4.0, np.float32(2)])
def test_a_weighted_step_equals_it_written_out(x, estimator, weight):
    """With weight 0 an autoencoder's, of which only the sample of z is left."""
    vae = vae_keras.VAE(*networks_of(x), seed=5, estimator=estimator, kl_weight=weight)
    vae.compile(keras.optimizers.SGD(0.1))
    before = weights_of(vae)
    gradients = written_out(vae, x, weight, number=1)
    vae.fit(x, batch_size=200, shuffle=False, verbose=0)
    for w, old, g in zip(weights_of(vae), before, gradients, strict=True):
        np.testing.assert_allclose(w, old - 0.1 * g, atol=2e-6)


WARM_UP = keras.optimizers.schedules.PolynomialDecay(0.0, 4, 1.0)  # from 0 to 1 in 4 iterations


def weights_seen(history):
    """w of each epoch of one minibatch, from loss = weight_decay - (reconstruction - w KL)."""
    names = ("loss", "weight_decay", "reconstruction", "kl")
    loss, decay, reconstruction, kl = (np.array(history[name]) for name in names)
    return (loss - decay + reconstruction) / kl


def moved(x):
    """A model whose KL is not near 0, where its weight could not be read off."""
    encoder, decoder = networks_of(x)
    encoder.get_layer("parameters").bias.assign([2.0, -1.0, 0.5, 0.0])
    return encoder, decoder


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_a_schedule_has_its_value_at_the_optimisers_iterations(x, policy):
    with precision(policy):
        vae = vae_keras.VAE(*moved(x), kl_weight=WARM_UP, weight_decay=0.1)
    vae.compile("sgd")
    given = {"steps_per_epoch": 1, "shuffle": False, "verbose": 0}
    seen = weights_seen(vae.fit(x, epochs=6, **given).history)
    np.testing.assert_allclose(seen, [0, 0.25, 0.5, 0.75, 1, 1], atol=1e-3)
    vae.optimizer.iterations.assign(1)
    np.testing.assert_allclose(weights_seen(vae.fit(x, **given).history), [0.25], atol=1e-3)


def test_what_a_step_learns_has_the_weight_of_its_iteration(x):
    """Six minibatches in one call of the compiled program."""
    vae = vae_keras.VAE(*moved(x), seed=5, kl_weight=WARM_UP)
    vae.compile(keras.optimizers.SGD(0.1))
    expected = vae_keras.VAE(*moved(x), seed=5)
    for k, weight in enumerate([0, 0.25, 0.5, 0.75, 1, 1]):
        gradients = written_out(expected, x[30 * k : 30 * (k + 1)], weight, number=k + 1)
        for w, g in zip(expected.trainable_variables, gradients, strict=True):
            w.assign_sub(0.1 * g)
    vae.fit(x[:180], batch_size=30, shuffle=False, verbose=0)
    assert_same(weights_of(vae), weights_of(expected), atol=2e-5)


def test_the_bound_that_is_shown_stays_the_bound(x):
    """The metrics of a weighted model of the same weights and noise, and all of `evaluate`."""
    plain, weighted = (
        vae_keras.VAE(*moved(x), seed=2, weight_decay=0.1, kl_weight=w) for w in (1.0, 5.0)
    )
    logs = []
    for vae in (plain, weighted):
        vae.compile(keras.optimizers.SGD(0.0))
        logs.append(vae.fit(x, verbose=0, validation_data=x).history)
    np.testing.assert_array_equal(weighted.elbo(x[:3]), plain.elbo(x[:3]))
    assert logs[0].keys() == logs[1].keys()
    for name in logs[0].keys() - {"loss"}:
        assert logs[0][name] == logs[1][name], name
    assert logs[1]["loss"][0] == pytest.approx(logs[0]["loss"][0] + 4 * logs[0]["kl"][0], rel=1e-5)


@pytest.mark.parametrize("weight", [0.25, 4.0])
def test_at_the_best_encoder_the_objective_is_the_known_maximum(weight):
    oracle = LinearGaussian(orthogonal=True)
    best, x = oracle.weighted(weight), oracle.draw(200)
    width = np.log(np.diag(best.posterior_covariance))
    vae = oracle.vae(*best.posterior_map, width, kl_weight=weight, estimator="A")
    draw = tf.function(lambda: vae.objective(vae.bound(tf.constant(x))).elbo)
    draws = np.stack([draw() for _ in range(400)])
    error = draws.std(0) / np.sqrt(len(draws))
    assert np.all(np.abs(draws.mean(0) - oracle.weighted_optimum(x, weight)) < 5 * error + 1e-4)


@pytest.mark.first(1)
@pytest.mark.parametrize("weight", [0.25, 4.0])
def test_the_encoder_learns_the_posterior_that_the_weight_asks_for(weight):
    """Wider than the exact one above 1, narrower below, from a wrong beginning."""
    oracle = LinearGaussian(orthogonal=True)
    best, (a, c) = oracle.weighted(weight), oracle.posterior_map
    vae = oracle.vae(0.5 * a, c, np.zeros(2), kl_weight=weight, n_samples=20)
    vae.decoder.trainable = False
    steps = 1000
    rate = keras.optimizers.schedules.CosineDecay(0.03, steps)
    vae.compile(keras.optimizers.Adam(rate))
    vae.fit(oracle.draw(1000), epochs=steps // 10, verbose=0)
    kernel, bias = vae.encoder.layers[0].get_weights()
    expected_a, expected_c = best.posterior_map
    np.testing.assert_allclose(kernel[:, :2].T, expected_a, atol=0.03)
    np.testing.assert_allclose(bias[:2], expected_c, atol=0.05)
    log_std = np.log(vae.encode(oracle.draw(1000)).stddev())  # with noise that depends on x
    expected = np.log(np.diag(best.posterior_covariance)) / 2
    np.testing.assert_allclose(log_std.mean(0), expected, atol=0.05)


@pytest.mark.first(1)
@pytest.mark.parametrize("weight", [0.5, WARM_UP])
def test_the_weight_is_saved_and_training_goes_on(x, weight, tmp_path):
    vae = vae_keras.VAE(*moved(x), kl_weight=weight)
    vae.compile()
    vae.fit(x, steps_per_epoch=2, verbose=0)
    vae.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    assert loaded.get_config()["kl_weight"] == vae.get_config()["kl_weight"]
    for model in (vae, loaded):
        model.fit(x, verbose=0)
    assert_same(weights_of(loaded), weights_of(vae))


@pytest.mark.long
def test_full_vb_weighs_the_kl_of_z_alone(x):
    model = vae_keras.FullVB(*moved(x), len(x), kl_weight=3.0)
    model.compile()
    history = model.fit(x, verbose=0).history
    expected = history["kl_parameters"][0] - history["reconstruction"][0] + 3 * history["kl"][0]
    assert history["loss"][0] == pytest.approx(expected, rel=1e-5)
    assert vae_keras.FullVB.from_config(model.get_config()).kl_weight == 3


def falling(low):
    return keras.optimizers.schedules.PolynomialDecay(1.0, 1000, low)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (-0.1, r"kl_weight is -0\.1, but must be a finite number of at least 0"),
        (np.nan, "kl_weight is nan, but must be"),
        (np.inf, "kl_weight is inf, but must be"),
        ("linear", "kl_weight is a str: give a number of at least 0, or a keras.*Schedule"),
        (None, "kl_weight is a NoneType: give"),
        (True, "kl_weight is a bool: give"),
        (lambda step: 1.0, "kl_weight is a function: give"),
        (falling(-2.0), "gives -2 at iteration 1,000, but must give finite"),
        (falling(np.nan), "gives nan at iteration 0"),
    ],
)
def test_what_cannot_weigh_is_refused(make_vae, weight, message):
    with pytest.raises(ValueError, match=message):
        make_vae(kl_weight=weight)


def test_what_has_no_kl_of_its_own_takes_no_weight(make_vae, x):
    for weight in (0.5, WARM_UP):
        with pytest.raises(ValueError, match=r"importance-weighted bound has no KL.*'A' or 'B'"):
            make_vae(kl_weight=weight, estimator="IW")
    assert make_vae(estimator="IW").kl_weight == make_vae().kl_weight == 1
    for algorithm, networks_ in (
        (vae_keras.WakeSleep, networks_of(x)),
        (vae_keras.MonteCarloEM, (networks_of(x)[1], 200)),
    ):
        with pytest.raises(ValueError, match="kl_weight"):
            algorithm(*networks_, kl_weight=0.5)
