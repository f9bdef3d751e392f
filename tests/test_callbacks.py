"""What stops training, what shows it, and which way of a metric is better."""

import re
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

import vae_keras
from vae_keras import NonFiniteBoundError, callbacks
from vae_keras.layers import DiagonalGaussian


class Counting:
    """What a callback sees of a model: a weight, a slot of the optimiser, and counted samples."""

    def __init__(self):
        self.weight, self.slot, self.count = tf.Variable(0.0), tf.Variable(0.0), tf.Variable(0)
        self.variables, self.trainable_variables = [self.weight, self.count], [self.weight]
        self.optimizer = types.SimpleNamespace(variables=[self.slot], learning_rate=0.25)
        self.stop_training = False

    @property
    def samples_evaluated(self):
        return int(self.count)

    def step(self, callback, samples, loss=1.0, **logs):
        """An update that makes the weight and the slot `samples`, and what Keras then calls."""
        for variable in (self.weight, self.slot, self.count):
            variable.assign(samples)
        callback.on_train_batch_end(0, {"loss": loss} | logs)


def watched(callback):
    model = Counting()
    callback.set_model(model)
    callback.on_train_begin()
    return model


# -------------------------------------------------------------------------- FiniteBound


@pytest.mark.parametrize(("last", "good"), [(600, 400), (700, 600), (800, 600)])
def test_a_copy_is_taken_every_so_many_samples_and_is_good_once_a_loss_was_finite_with_it(
    last, good
):
    guard = callbacks.FiniteBound(every=200)
    model = watched(guard)
    guard.on_epoch_begin(0)
    for samples in range(100, last + 1, 100):
        model.step(guard, samples)
    message = (
        rf"the loss became nan at {last + 100} training samples; the weights of "
        rf"{good} samples were restored\. Try a smaller learning rate \(now 0\.25\)"
    )
    with pytest.raises(NonFiniteBoundError, match=message):
        model.step(guard, last + 100, np.nan)
    assert [float(v) for v in (model.weight, model.slot, model.count)] == 3 * [good]


@pytest.mark.parametrize("loss", [np.nan, np.inf, -np.inf])
def test_a_loss_that_is_not_finite_at_once_brings_back_where_training_began(loss):
    guard = callbacks.FiniteBound()
    model = watched(guard)
    model.weight.assign(7.0)  # as a callback that restores a model does, before the first epoch
    guard.on_epoch_begin(0)
    with pytest.raises(NonFiniteBoundError, match=f"the loss became {loss} at 100 training"):
        model.step(guard, 100, loss)
    assert float(model.weight) == 7.0


def test_each_epoch_begins_with_a_copy_and_each_fit_anew():
    guard = callbacks.FiniteBound()
    model = watched(guard)
    for epoch, samples in enumerate((100, 200)):
        guard.on_epoch_begin(epoch)
        model.step(guard, samples)
    with pytest.raises(NonFiniteBoundError, match="the weights of 100 samples were restored"):
        model.step(guard, 300, np.nan)
    model.count.assign(5000)
    guard.on_train_begin()
    guard.on_epoch_begin(0)
    with pytest.raises(NonFiniteBoundError, match="the weights of 5,000 samples were restored"):
        model.step(guard, 5100, np.nan)


def test_an_epoch_that_begins_with_bad_weights_is_not_taken_for_good():
    """What the last update of an epoch spoiled, only the first loss of the next one tells."""
    guard = callbacks.FiniteBound()
    model = watched(guard)
    guard.on_epoch_begin(0)
    model.step(guard, 100)
    model.weight.assign(np.nan)
    guard.on_epoch_begin(1)
    with pytest.raises(NonFiniteBoundError, match="the weights of 0 samples were restored"):
        guard.on_train_batch_end(0, {"loss": np.nan})
    assert float(model.weight) == 0.0


def test_weights_that_stop_being_finite_are_noticed_at_the_end_alone():
    guard = callbacks.FiniteBound()
    model = watched(guard)
    guard.on_epoch_begin(0)
    model.step(guard, 100)
    guard.on_train_end()
    model.weight.assign(np.inf)
    with pytest.raises(NonFiniteBoundError, match="the weights stopped being finite at 100"):
        guard.on_train_end()
    assert float(model.weight) == 0.0


def unbounded(optimizer):
    """A model that a large step size makes diverge, on data of both signs."""
    keras.utils.set_random_seed(0)
    dense = [keras.layers.Dense(4), keras.layers.Dense(24)]
    vae = vae_keras.VAE(
        keras.Sequential([keras.Input((12,)), dense[0], DiagonalGaussian(2)]),
        keras.Sequential([keras.Input((2,)), dense[1], DiagonalGaussian(12)]),
        seed=1,
    )
    vae.compile(optimizer)
    return vae, np.random.default_rng(0).normal(size=(250, 12)).astype("float32")


def test_after_a_first_fit_that_diverged_a_smaller_rate_helps():
    vae, x = unbounded(keras.optimizers.Adam(1e12))
    with pytest.raises(NonFiniteBoundError, match="Try a smaller learning rate"):
        vae.fit(x, epochs=5, verbose=0)
    assert all(np.isfinite(v.numpy()).all() for v in vae.optimizer.variables)
    vae.optimizer.learning_rate = 0.01
    history = vae.fit(x, epochs=30, verbose=0).history["loss"]
    assert history[-1] < history[0]


def test_a_divergence_costs_an_epoch_at_most():
    vae, x = unbounded(keras.optimizers.SGD(1e-3))

    class Absurd(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 20:
                vae.optimizer.learning_rate = 1e12

    with pytest.raises(NonFiniteBoundError, match=r"the weights of (4,750|5,000) samples were"):
        vae.fit(x, epochs=30, verbose=0, callbacks=[Absurd()])
    assert vae.samples_evaluated in (4750, 5000)
    assert np.isfinite(vae.elbo(x)).all()


def test_the_last_update_is_looked_at_as_well():
    vae, x = unbounded(keras.optimizers.SGD(1e-3))
    vae.fit(x, epochs=2, verbose=0)
    good = vae.get_weights()
    vae.optimizer.learning_rate = np.inf
    with pytest.raises(NonFiniteBoundError, match="weights stopped being finite at 600"):
        vae.fit(x[:100], epochs=1, verbose=0)
    for a, b in zip(vae.get_weights(), good, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_callback_list_of_ones_own(make_vae, x):
    vae = make_vae()
    history = keras.callbacks.History()
    callbacks = keras.callbacks.CallbackList([history], model=vae, epochs=2)
    vae.fit(x, epochs=2, verbose=0, callbacks=callbacks)
    assert len(history.history["loss"]) == 2
    vae, x = unbounded(keras.optimizers.SGD(1e12))
    with pytest.raises(NonFiniteBoundError):
        vae.fit(x, epochs=5, callbacks=keras.callbacks.CallbackList([], model=vae, epochs=5))


def test_a_bound_that_stops_being_finite_keeps_the_last_good_weights(any_encoder, any_decoder):
    """Finite for two epochs, then the step size is made absurd."""
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(250, 12)).astype("float32")
    vae = vae_keras.VAE(any_encoder(DiagonalGaussian(2)), any_decoder(DiagonalGaussian(12)))
    vae.compile(keras.optimizers.SGD(1e-3))
    vae.fit(x, epochs=2, verbose=0)
    good = vae.get_weights()
    vae.optimizer.learning_rate = 1e12
    with pytest.raises(NonFiniteBoundError) as error:
        vae.fit(x, epochs=2, verbose=0)
    message = r"at \d+ training samples; the weights of 500 samples were restored.*learning rate"
    assert re.search(message, str(error.value))
    for a, b in zip(vae.get_weights(), good, strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.isfinite(vae.elbo(x)).all()
    assert vae.samples_evaluated == 500


# ---------------------------------------------------------------------------- set_modes


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
    model.compile()
    stops = [keras.callbacks.EarlyStopping("log_joint", mode=mode) for mode in ("auto", "min")]
    model.fit(x, verbose=0, callbacks=stops)
    assert [bool(stop.monitor_op(1.0, 0.0)) for stop in stops] == [True, False]
    with pytest.raises(ValueError, match="Pass `mode='max'`"):
        model.fit(x, verbose=0, callbacks=keras.callbacks.EarlyStopping("acceptance"))


BETTER = {
    "loss": "min",
    "elbo": "max",
    "reconstruction": "max",
    "kl": "min",
    "kl_parameters": "min",
    "weight_decay": "min",
    "log_joint": "max",
    "acceptance": "auto",  # neither: Keras asks
}


@pytest.mark.parametrize("prefix", ["", "val_"])
def test_every_metric_of_every_model_has_its_way(prefix):
    models = (vae_keras.VAE, vae_keras.WakeSleep, vae_keras.FullVB, vae_keras.MonteCarloEM)
    assert {metric for model in models for metric in model.METRICS} == set(BETTER)
    stops = [types.SimpleNamespace(monitor=prefix + metric, mode="auto") for metric in BETTER]
    others = [
        types.SimpleNamespace(monitor=prefix + "accuracy", mode="auto"),
        types.SimpleNamespace(monitor=prefix + "elbo", mode="min"),
        keras.callbacks.History(),
    ]
    callbacks.set_modes([stops, *others])
    assert [stop.mode for stop in stops] == list(BETTER.values())
    assert [other.mode for other in others[:2]] == ["auto", "min"]
    callbacks.set_modes(None)


# ------------------------------------------------------------------------- StopAtSamples


def test_training_stops_at_the_first_minibatch_that_reaches_the_samples():
    stop = callbacks.StopAtSamples(200)
    model = watched(stop)
    for samples, stopped in ((100, False), (199, False), (200, True), (300, True)):
        model.stop_training = False
        model.step(stop, samples)
        assert model.stop_training is stopped


def test_a_fit_ends_at_its_samples(make_vae, uneven):
    vae = make_vae()
    vae.compile(steps_per_execution=1)
    vae.fit(uneven, epochs=9, verbose=0, callbacks=callbacks.StopAtSamples(350))
    assert vae.samples_evaluated == 350  # 250 an epoch, 100 a minibatch
    vae.fit(uneven, epochs=9, verbose=0, callbacks=callbacks.StopAtSamples(350))
    assert vae.samples_evaluated == 450  # it looks only after a minibatch
