"""What stops training, what shows it, and which way of a metric is better."""

import re

import keras
import numpy as np
import pytest

import vae_keras
from vae_keras import NonFiniteBoundError
from vae_keras.layers import DiagonalGaussian

# -------------------------------------------------------------------------- FiniteBound


def unbounded(optimizer):
    """A model that a large step size makes diverge, on data of both signs."""
    keras.utils.set_random_seed(0)
    dense = [keras.layers.Dense(4), keras.layers.Dense(24)]
    vae = vae_keras.VAE(
        keras.Sequential([keras.Input((12,)), dense[0], DiagonalGaussian(2)]),
        keras.Sequential([keras.Input((2,)), dense[1], DiagonalGaussian(12)]),
        seed=1,
    )
    vae.compile(optimizer, jit_compile=False)
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

    with pytest.raises(NonFiniteBoundError, match=r"has its weights of (4,750|5,000) samples"):
        vae.fit(x, epochs=30, verbose=0, callbacks=[Absurd()])
    assert vae.samples in (4750, 5000)
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
    assert re.search(r"at \d+ training samples.*500 samples again.*learning rate", str(error.value))
    for a, b in zip(vae.get_weights(), good, strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.isfinite(vae.elbo(x)).all()
    assert vae.samples == 500


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
    model.compile(jit_compile=False)
    stops = [keras.callbacks.EarlyStopping("log_joint", mode=mode) for mode in ("auto", "min")]
    model.fit(x, verbose=0, callbacks=stops)
    assert [bool(stop.monitor_op(1.0, 0.0)) for stop in stops] == [True, False]
    with pytest.raises(ValueError, match="Pass `mode='max'`"):
        model.fit(x, verbose=0, callbacks=keras.callbacks.EarlyStopping("acceptance"))
