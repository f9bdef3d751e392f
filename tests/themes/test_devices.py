"""Two devices that share each minibatch learn and measure what one does with the whole of it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from vae_keras import VAE, FullVB, MonteCarloEM, WakeSleep, networks
from vae_keras.layers import DiagonalGaussian, TFPDistribution

ROWS = 255  # minibatches of 100, 100 and 55: parts of 50 and 50, of 28 and 27


@pytest.fixture
def rows():
    return np.random.default_rng(0).uniform(size=(ROWS, 12)).astype("float32")


@pytest.fixture(scope="session")  # TensorFlow mixes up what two of them, one after the other, add
def two():
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def make(cls, optimizer=keras.optimizers.SGD, rate=0.2, **kwargs):
    """A model whose noise does not matter, so that the numbers compare.

    A VAE's posterior is very narrow; the decoder of wake-sleep, whose dreams come from elsewhere in
    z, takes no notice of z.
    """
    keras.utils.set_random_seed(0)
    posterior = TFPDistribution("Normal", 2, fixed={"scale": 1e-6})
    decoder = networks.bernoulli_decoder(2, 8, 12)
    if cls is WakeSleep:
        posterior = DiagonalGaussian(2)
        decoder = keras.Sequential([keras.Input((2,)), keras.layers.Rescaling(0.0), decoder])
    regularizer = keras.regularizers.L2(0.1)
    dense = keras.layers.Dense(posterior.params_size, kernel_regularizer=regularizer)
    encoder = keras.Sequential([keras.Input((12,)), dense, posterior])
    kwargs |= {"n_train": ROWS} if cls is FullVB else {"weight_decay": 0.1}
    model = cls(encoder, decoder, seed=1, **kwargs)
    model.compile(optimizer(rate))
    return model


@pytest.fixture
def make_both(two):
    """A function that makes a model on one device, and the same on two."""

    def make_on_each(*args, **kwargs):
        one = make(*args, **kwargs)
        with two.scope():
            return one, make(*args, **kwargs)

    return make_on_each


def fit_alike(models, rows, atol=2e-5, **kwargs):
    for model in models:
        model.fit(rows, epochs=2, verbose=0, **kwargs)
        assert model.samples_evaluated == 2 * len(rows)
    assert_equal_weights(*models, atol)


def assert_equal_weights(one, other, atol=2e-5):
    for a, b in zip(one.trainable_variables, other.trainable_variables, strict=True):
        np.testing.assert_allclose(a, b, atol=atol, err_msg=a.path)


@pytest.mark.first(1)
@pytest.mark.parametrize("kind", ["array", "stream"])
def test_a_vae(make_both, kind, rows):
    data = rows if kind == "array" else tf.data.Dataset.from_tensor_slices(rows).batch(100)
    optimizer = keras.optimizers.Adagrad if data is rows else keras.optimizers.SGD
    one, shared = make_both(VAE, optimizer, 0.1)
    before = [w.numpy() for w in shared.trainable_variables]
    histories = [m.fit(data, epochs=2, shuffle=False, verbose=0).history for m in (one, shared)]
    assert_equal_weights(one, shared)
    assert (
        max(np.abs(w - b).max() for w, b in zip(one.trainable_variables, before, strict=True))
        > 0.05
    )
    assert one.samples_evaluated == shared.samples_evaluated == 2 * ROWS
    for name in one.METRICS:
        np.testing.assert_allclose(histories[0][name], histories[1][name], rtol=1e-4)
    evaluations = [m.evaluate(rows, verbose=0, return_dict=True) for m in (one, shared)]
    for name in one.METRICS:
        np.testing.assert_allclose(evaluations[0][name], evaluations[1][name], rtol=1e-4)
    predictions = [m.predict(rows, verbose=0) for m in (one, shared)]
    np.testing.assert_allclose(*predictions, atol=1e-5)


@pytest.mark.long
def test_a_schedule_of_the_weight_of_the_kl(make_both, rows):
    warm_up = keras.optimizers.schedules.PolynomialDecay(0.0, 4, 1.0)
    one, shared = make_both(VAE, kl_weight=warm_up)
    losses = [
        m.fit(rows, epochs=2, shuffle=False, verbose=0).history["loss"]
        for m in (one, shared, make(VAE))
    ]
    assert_equal_weights(one, shared)
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
    assert abs(losses[0][0] - losses[2][0]) > 0.1


def test_wake_sleep(make_both, rows, monkeypatch):
    """With the same dream of each datapoint."""

    def dream(self, n):
        return tf.ones((n, 2)), tf.fill((n, 12), 0.25)

    monkeypatch.setattr(WakeSleep, "dream", dream)
    fit_alike(make_both(WakeSleep, rate=0.1), rows, atol=1e-4, shuffle=False)


@pytest.mark.long
def test_full_vb(make_both, rows, monkeypatch):
    """With theta at its mean, that all draws of it are the same."""
    monkeypatch.setattr(FullVB, "decode_sampled", lambda self, z, training: self.decode(z))
    fit_alike(make_both(FullVB), rows, shuffle=False)


@pytest.mark.long
def test_rows_are_shuffled_as_on_one_device(make_both, rows):
    fit_alike(make_both(VAE), rows, validation_data=rows)


@pytest.mark.long
def test_a_minibatch_with_fewer_rows_than_devices(make_both, rows):
    one, shared = make_both(VAE)
    fit_alike((one, shared), rows[:101], shuffle=False)
    metrics = shared.evaluate(rows[:101], batch_size=100, verbose=0, return_dict=True)
    assert np.isfinite(list(metrics.values())).all()


def test_each_device_has_noise_of_its_own(two):
    with two.scope():
        model = make(VAE)

    @tf.function
    def seeds(training):
        return two.run(lambda: model.noise_seed(training))

    drawn = [
        tuple(seed.numpy())
        for training in (True, False)
        for _ in range(3)
        for seed in two.experimental_local_results(seeds(training))
    ]
    assert len(set(drawn)) == 12
    assert int(model._draws.numpy()) == int(model._evaluation_draws.numpy()) == 3


@pytest.mark.long
@pytest.mark.usefixtures("xla")
def test_what_was_learned_on_two_devices_is_saved_and_goes_on_on_one(two, rows, tmp_path):
    with two.scope():
        shared = make(VAE, keras.optimizers.Adagrad, 0.1)
    shared.fit(rows, verbose=0)
    shared.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    assert loaded.samples_evaluated == ROWS
    for model in (shared, loaded):
        model.fit(rows, verbose=0)
    assert_equal_weights(shared, loaded)
    assert loaded.jit_compile  # XLA where it can
    assert not shared.jit_compile


def test_divergence_is_noticed_and_the_weights_come_back(two, rows):
    from vae_keras import NonFiniteBoundError

    with two.scope():
        shared = make(VAE)
    shared.fit(rows, verbose=0)
    good = shared.get_weights()
    shared.optimizer.learning_rate = 1e30
    with pytest.raises(NonFiniteBoundError):
        shared.fit(rows, epochs=3, verbose=0)
    np.testing.assert_equal(shared.get_weights(), good)


# ------------------------------------------------------------------------------- what is refused


def test_xla_for_several_devices(two):
    with (
        two.scope(),
        pytest.raises(ValueError, match="jit_compile is True, but XLA cannot"),
    ):
        make(VAE).compile(jit_compile=True)


def test_monte_carlo_em(two):
    with two.scope():
        model = MonteCarloEM(networks.bernoulli_decoder(2, 8, 12), 10)
        with pytest.raises(
            ValueError, match="MonteCarloEM trains on one device, but the strategy has 2"
        ):
            model.compile()


def test_a_model_made_outside(two, rows):
    model = make(VAE)
    with two.scope(), pytest.raises(ValueError, match="made outside the scope of this strategy"):
        model.fit(rows, verbose=0)
