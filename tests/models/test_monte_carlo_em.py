"""Monte Carlo EM: chains against the exact posterior, the M-step against the exact EM gradient."""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from oracles.linear_gaussian import LinearGaussian
from oracles.weights import assert_same

import vae_keras
from vae_keras import layers

MOVES = 500_000


def mcem(oracle, n_train, **kwargs):
    """The model of `oracle` itself, with `n_train` chains."""
    return vae_keras.MonteCarloEM(
        oracle.vae(*oracle.posterior_map, np.zeros(oracle.w.shape[1])).decoder,
        n_train,
        seed=1,
        **kwargs,
    )


def fit(model, x, step_size, epochs=1, batch_size=None):
    model.compile(keras.optimizers.SGD(step_size))
    return model.fit(x, batch_size=batch_size or len(x), epochs=epochs, verbose=0).history


def test_the_m_step_has_the_exact_em_gradient():
    """-E_p(z|x) of the gradient of log p(x, z), and an E-step that leaves p(z|x) as it is."""
    true = LinearGaussian()
    x = true.draw(20_000)
    oracle = LinearGaussian(w=true.w + 0.1, b=true.b + 0.2)  # so the gradient is not zero
    model = mcem(oracle, len(x), updates=1)
    fit(model, x, 0.0, epochs=30)
    before = [w.numpy() for w in model.trainable_variables]
    fit(model, x, 1.0)
    steps = [b - w.numpy() for b, w in zip(before, model.trainable_variables, strict=True)]
    a, c = oracle.posterior_map
    mean = x @ a.T + c
    residual = x - mean @ oracle.w.T - oracle.b
    kernel = mean.T @ residual / len(x) - oracle.posterior_covariance @ oracle.w.T
    exact = [-kernel / oracle.noise**2, -residual.mean(0) / oracle.noise**2]
    for step, gradient in zip(steps, exact, strict=True):
        np.testing.assert_allclose(step, gradient, atol=0.03)
        assert np.abs(gradient).max() > 0.1


def test_each_chain_follows_the_posterior_of_its_own_datapoint():
    """Also where the rows are shuffled, in minibatches of which the last is a partial one."""
    oracle = LinearGaussian(noise=0.3)
    x = oracle.draw(250)
    model = mcem(oracle, len(x))
    start = model.chains.numpy()
    np.testing.assert_allclose(np.cov(start.T), np.eye(2), atol=0.3)
    history = fit(model, x, 0.0, epochs=60, batch_size=100)
    a, c = oracle.posterior_map
    scale = np.sqrt(np.diag(oracle.posterior_covariance))
    errors = (model.chains.numpy() - (x @ a.T + c)) / scale
    assert np.std(errors, axis=0) == pytest.approx([1, 1], abs=0.2)
    assert np.mean(history["acceptance"][-20:]) == pytest.approx(0.9, abs=0.03)


@pytest.mark.first(1)
@pytest.mark.parametrize(("n_train", "variance"), [(1, 0.975), (10, 1.0)])
def test_one_chain_is_a_little_too_narrow_and_ten_are_not(n_train, variance):
    """As the class and docs/accuracy.md say of a step size that is adapted for ever."""
    oracle = LinearGaussian(w=np.ones((5, 1)) / 5**0.5)
    x = tf.constant(oracle.draw(n_train))
    model = mcem(oracle, n_train)
    a, c = oracle.posterior_map
    mean = tf.constant(x @ a.T + c, tf.float32)

    @tf.function(jit_compile=True)
    def squares(z, moves):
        def move(k, z, total):
            z, _ = model.move(x, z)
            return k + 1, z, total + tf.cast((z - mean) ** 2, tf.float64)

        start = [0, z, tf.zeros(z.shape, tf.float64)]
        return tf.while_loop(lambda k, *_: k < moves, move, start)[1:]

    z, _ = squares(model.chains, tf.constant(2000))
    _, total = squares(z, tf.constant(MOVES))
    found = np.mean(total) / MOVES / oracle.posterior_covariance[0, 0]
    assert found == pytest.approx(variance, abs=0.01)


def test_what_is_measured_at_a_z_is_log_p():
    oracle = LinearGaussian()
    x, z = oracle.draw(6), np.random.default_rng(0).normal(size=(6, 2)).astype("float32")
    model = mcem(oracle, 6, weight_decay=0.2)
    loss, log_joint, reconstruction, decay = model.measure(x, z)
    exact = scipy.stats.norm(z @ oracle.w.T + oracle.b, oracle.noise).logpdf(x).sum(1)
    np.testing.assert_allclose(reconstruction, exact, rtol=1e-4)
    joint = exact + scipy.stats.norm.logpdf(z).sum(1)
    np.testing.assert_allclose(log_joint, joint, rtol=1e-4)
    assert np.any(oracle.b)  # which has no prior
    assert float(decay) == pytest.approx(0.1 * np.sum(oracle.w**2), rel=1e-4)
    assert float(loss) == pytest.approx(float(decay) - joint.mean(), rel=1e-4)
    logs = model.record_z((loss, log_joint, reconstruction, decay), tf.constant(0.7))
    expected = [float(loss), joint.mean(), exact.mean(), 0.7, float(decay)]
    assert list(logs) == list(model.METRICS)
    assert [float(value) for value in logs.values()] == pytest.approx(expected, rel=1e-4)


def test_what_it_was_not_trained_on_has_a_z_from_a_chain_of_its_own():
    """Of data that p(z|x) knows to 2%: draws from the prior alone would be far from it."""
    oracle = LinearGaussian(noise=0.03)
    x, model = oracle.draw(300), mcem(oracle, 1)
    model.step_size.assign(0.02)
    before = model.chains.numpy()
    z, acceptance = tf.function(model.infer)(x)
    a, c = oracle.posterior_map
    errors = (z - (x @ a.T + c)) / np.sqrt(np.diag(oracle.posterior_covariance))
    np.testing.assert_allclose(np.mean(errors, 0), [0, 0], atol=0.25)
    np.testing.assert_allclose(np.std(errors, 0), [1, 1], atol=0.2)
    assert 0.5 < float(acceptance) <= 1
    np.testing.assert_array_equal(model.chains, before)
    assert float(model.step_size) == pytest.approx(0.02)  # nor is it adapted


def test_it_learns_a_linear_gaussian_model():
    """From a bad start, log p(x) comes near that of the model which drew the data."""
    oracle = LinearGaussian(pixels=4, latent=1)
    x = oracle.draw(2000)
    model = mcem(oracle, len(x))
    model.decoder.layers[0].set_weights([0.1 * np.ones((1, 4)), np.zeros(4)])
    model.compile(keras.optimizers.Adam(0.01))
    model.fit(x, epochs=30, verbose=0)
    kernel, bias = model.decoder.layers[0].get_weights()
    learned = LinearGaussian(w=kernel.T, b=bias)
    assert learned.log_likelihood(x).mean() > oracle.log_likelihood(x).mean() - 0.05


def test_it_is_a_keras_model(make_vae, x, tmp_path):
    model = vae_keras.MonteCarloEM(make_vae().decoder, len(x), weight_decay=0.01)
    model.compile()
    history = model.fit(x, batch_size=50, epochs=2, verbose=0, validation_data=x[:50]).history
    assert set(history) >= {"log_joint", "acceptance", "val_log_joint"}
    last = [history[name][-1] for name in ("loss", "weight_decay", "log_joint")]
    assert last[0] == pytest.approx(last[1] - last[2], rel=1e-5)
    assert model.samples_evaluated == 400 * (10 + 5)  # each leapfrog step and each update
    assert int(model.optimizer.iterations.numpy()) == 2 * 4 * 5
    assert model.predict(x, verbose=0).shape == x.shape
    assert model.sample(3).shape == (3, 12)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for one in (model, loaded):
        one.fit(x, batch_size=50, verbose=0)
    assert_same(model.get_weights(), loaded.get_weights())


def streamed(x, rows, size=50):
    return tf.data.Dataset.from_tensor_slices((x, rows)).batch(size)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (lambda x: [*x, *x], "fit would train on 400 rows, but there are 200 chains"),
        (lambda x: streamed(x, np.arange(200, dtype="int32")[::-1]), None),
        (lambda x: streamed(x, np.arange(200) - 1), "-1 is not a row of 200 training datapoints"),
        (lambda x: streamed(x, np.arange(200) % 10), "has row 0 more than once: .* not labels"),
        (lambda x: streamed(x, np.arange(200.0)), "int32 or int64 of shape .*, not .*float64"),
        (lambda x: streamed(x, np.arange(200, dtype="uint8")), "not .*uint8"),
        (lambda x: streamed(x, np.ones(200, bool)), "not .*bool"),
        (lambda x: streamed(x, np.arange(200)[:, None]), r"not .*\(None, 1\)"),
        (lambda x: streamed(x, {"row": np.arange(200)}), "not {'row'"),
        (
            lambda x: tf.data.Dataset.from_tensors((x,)),
            r"minibatches \(x, row numbers\).* not None",
        ),
        (lambda x: iter([(x, np.arange(200))]), "which a list_iterator does not number: fit on"),
    ],
)
def test_each_datapoint_must_find_its_own_chain(make_vae, x, data, message):
    model = vae_keras.MonteCarloEM(make_vae().decoder, len(x))
    model.compile()
    if message is None:
        model.fit(data(x), verbose=0)
        assert model.examples_seen == 200
        return
    with pytest.raises(ValueError, match=message):
        model.fit(data(x), verbose=0)
    assert model.examples_seen == 0


def test_a_minibatch_needs_the_rows_of_its_chains(make_vae, x):
    model = vae_keras.MonteCarloEM(make_vae().decoder, len(x))
    model.compile()
    before = model.chains.numpy()
    for rows, message in (
        (None, r"call train_on_batch\(x, row numbers\)"),
        (np.arange(200.0), "with an integer for each row"),
        (np.arange(100), "with an integer for each row"),
        (np.arange(200) + 1, "200 is not a row of 200"),
        (np.arange(200) % 10, "has row 0 more than once"),
    ):
        with pytest.raises(ValueError, match=message):
            model.train_on_batch(x, rows)
    np.testing.assert_array_equal(model.chains, before)
    model.train_on_batch(x[:100], np.arange(100, 200, dtype="uint8"))
    moved = np.any(model.chains.numpy() != before, axis=1)
    assert moved[100:].any()
    assert not moved[:100].any()


def test_what_is_refused(make_vae):
    decoder = make_vae().decoder
    for change, message in (
        ({"n_train": 0}, "n_train is 0, but must be an integer of at least 1"),
        ({"updates": 0}, "updates is 0"),
        ({"leapfrog_steps": 0}, "leapfrog_steps is 0"),
        ({"acceptance": 1.0}, r"acceptance is 1\.0, but must lie between 0 and 1"),
        ({"weight_decay": -1.0}, "weight_decay is -1"),
    ):
        with pytest.raises(ValueError, match=message):
            vae_keras.MonteCarloEM(decoder, **{"n_train": 10, **change})
    p = layers.Bernoulli(5)
    rounded = keras.layers.Lambda(lambda z: tf.round(z), output_shape=(2,))
    rigid = keras.Sequential([keras.Input((2,)), rounded, keras.layers.Dense(5), p])
    with pytest.raises(ValueError, match="no gradient in z, so HMC cannot move"):
        vae_keras.MonteCarloEM(rigid, 10)
