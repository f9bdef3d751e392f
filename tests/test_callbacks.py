"""What stops training, what shows it, and which way of a metric is better."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from oracles.weights import assert_same

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


@pytest.fixture
def unbounded(any_encoder, any_decoder):
    """A function that makes a model which a large step size makes diverge, and its data."""

    def make(optimizer):
        keras.utils.set_random_seed(0)
        decoder = any_decoder(DiagonalGaussian(12))
        vae = vae_keras.VAE(any_encoder(DiagonalGaussian(2)), decoder, seed=1)
        vae.compile(optimizer)
        return vae, np.random.default_rng(0).normal(size=(250, 12)).astype("float32")

    return make


def test_after_a_first_fit_that_diverged_a_smaller_rate_helps(unbounded):
    vae, x = unbounded(keras.optimizers.Adam(1e12))
    with pytest.raises(NonFiniteBoundError, match="Try a smaller learning rate"):
        vae.fit(x, epochs=5, verbose=0)
    assert all(np.isfinite(v.numpy()).all() for v in vae.optimizer.variables)
    vae.optimizer.learning_rate = 0.01
    history = vae.fit(x, epochs=30, verbose=0).history["loss"]
    assert history[-1] < history[0]


def test_a_divergence_costs_an_epoch_at_most(unbounded):
    vae, x = unbounded(keras.optimizers.SGD(1e-3))

    class Absurd(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 20:
                vae.optimizer.learning_rate = 1e12

    with pytest.raises(NonFiniteBoundError, match=r"the weights of (4,750|5,000) samples were"):
        vae.fit(x, epochs=30, verbose=0, callbacks=[Absurd()])
    assert vae.samples_evaluated in (4750, 5000)
    assert np.isfinite(vae.elbo(x)).all()


def test_the_last_update_is_looked_at_as_well(unbounded):
    vae, x = unbounded(keras.optimizers.SGD(1e-3))
    vae.fit(x, epochs=2, verbose=0)
    good = vae.get_weights()
    vae.optimizer.learning_rate = np.inf
    with pytest.raises(NonFiniteBoundError, match="weights stopped being finite at 600"):
        vae.fit(x[:100], epochs=1, verbose=0)
    assert_same(vae.get_weights(), good)


def test_a_callback_list_of_ones_own(make_vae, x, unbounded):
    vae = make_vae()
    history = keras.callbacks.History()
    callbacks = keras.callbacks.CallbackList([history], model=vae, epochs=2)
    vae.fit(x, epochs=2, verbose=0, callbacks=callbacks)
    assert len(history.history["loss"]) == 2
    vae, x = unbounded(keras.optimizers.SGD(1e12))
    with pytest.raises(NonFiniteBoundError):
        vae.fit(x, epochs=5, callbacks=keras.callbacks.CallbackList([], model=vae, epochs=5))


# ---------------------------------------------------------------------------- _set_modes


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
    callbacks._set_modes([stops, *others])
    assert [stop.mode for stop in stops] == list(BETTER.values())
    assert [other.mode for other in others[:2]] == ["auto", "min"]
    callbacks._set_modes(None)


# ------------------------------------------------------------------------- StopAtSamples


def test_a_fit_ends_at_its_samples(make_vae, uneven):
    vae = make_vae()
    vae.compile(steps_per_execution=1)
    vae.fit(uneven, epochs=9, verbose=0, callbacks=callbacks.StopAtSamples(350))
    assert vae.samples_evaluated == 350  # 250 an epoch, 100 a minibatch
    vae.fit(uneven, epochs=9, verbose=0, callbacks=callbacks.StopAtSamples(350))
    assert vae.samples_evaluated == 450  # it looks only after a minibatch
