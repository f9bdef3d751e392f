"""`fit`, `evaluate`, saving and exporting, as a Keras user tries them on the first day."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf
from oracles.weights import assert_same

from vae_keras import (
    VAE,
    FullVB,
    MonteCarloEM,
    WakeSleep,
    layers,
    marginal_likelihood,
    networks,
)


@pytest.fixture
def x(uneven):
    """With a partial minibatch, for it is here that minibatches are told apart."""
    return uneven


# ---------------------------------------------------------------------------- looking on the way


@pytest.mark.first(2)
@pytest.mark.parametrize("algorithm", [VAE, FullVB, WakeSleep, MonteCarloEM])
def test_looking_does_not_change_what_is_learned(algorithm, make_vae, x):
    """Neither validation nor any other look at the model moves the noise of training."""

    def look(model):
        model.sample(3)
        for name in ("elbo", "bound", "score", "reconstruct", "evaluate", "predict"):
            if hasattr(model, name):
                quiet = {"verbose": 0} if name in ("evaluate", "predict") else {}
                getattr(model, name)(x[:20], **quiet)

    def learned(*callbacks, **kwargs):
        networks = make_vae(compiled=False)
        model = {
            MonteCarloEM: lambda: MonteCarloEM(networks.decoder, len(x), seed=1),
            FullVB: lambda: FullVB(networks.encoder, networks.decoder, len(x), seed=1),
        }.get(algorithm, lambda: algorithm(networks.encoder, networks.decoder, seed=1))()
        model.compile()
        callbacks = [callback(model) for callback in callbacks]
        model.fit(x, epochs=2, verbose=0, callbacks=callbacks, **kwargs)
        return [variable.numpy() for variable in model.trainable_variables]

    def looking(model):
        return keras.callbacks.LambdaCallback(on_epoch_begin=lambda *_: look(model))

    watched = learned(looking, validation_data=None if algorithm is MonteCarloEM else x[:100])
    assert_same(learned(), watched, atol=1e-6)


def test_training_and_evaluation_share_no_noise(make_vae):
    vae = make_vae(seed=1)
    seeds = [tuple(vae.noise_seed(training).numpy()) for training in (True, False) * 5]
    assert len(set(seeds)) == 10


@pytest.mark.first(2)
@pytest.mark.parametrize("seed", [2**64 + 1, 0, 2**31 - 1, 2**31, 2**32 + 5])
def test_any_non_negative_integer_is_a_seed(make_vae, x, seed, tmp_path):
    vae = make_vae(seed=seed)
    vae.fit(x[:100], verbose=0)
    vae.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    assert loaded.seed == seed
    np.testing.assert_array_equal(vae.sample(3), loaded.sample(3))
    one, other = make_vae(seed=seed), make_vae(seed=seed + 1)
    assert not np.array_equal(one.sample(3), other.sample(3))


@pytest.mark.parametrize("seed", [-1, 1.5, "7"])
def test_what_is_no_seed_is_refused(make_vae, seed):
    with pytest.raises(ValueError, match=r"the seed is .*, but must be an integer"):
        make_vae(seed=seed)


# ------------------------------------------------------------------------------------ one `fit`


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


@pytest.mark.long
def test_an_uncompiled_model(make_vae, x, tmp_path):
    vae = make_vae(compiled=False)
    for method in ("fit", "evaluate"):
        with pytest.raises(
            ValueError, match=rf"not compiled: call compile\(\) before {method}\(\)"
        ):
            getattr(vae, method)(x)
    vae.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    np.testing.assert_array_equal(vae.predict(x, verbose=0), loaded.predict(x, verbose=0))


# -------------------------------------------------------------------------------------- serving


@pytest.mark.first(1)
@pytest.mark.parametrize("trained", [True, False])
def test_an_exported_model_serves_what_the_model_gives(make_vae, x, tmp_path, trained):
    vae = make_vae()
    if trained:
        vae.fit(x, verbose=0)
        vae.save(tmp_path / "vae.keras")
        vae = keras.saving.load_model(tmp_path / "vae.keras")
    vae.export(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "served"))
    for n in (1, 250):
        np.testing.assert_allclose(served.serve(x[:n]), vae.predict(x[:n], verbose=0), atol=1e-6)


@pytest.mark.long
def test_monte_carlo_em_is_exported(x, tmp_path):
    keras.utils.set_random_seed(0)
    decoder = networks.bernoulli_decoder(2, 8, 12)
    model = MonteCarloEM(decoder, 250, seed=1, leapfrog_steps=2)
    model.compile()
    model.fit(x, verbose=0)
    model.export(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "served"))
    answer = served.serve(x)
    assert answer.shape == x.shape
    assert np.mean(np.abs(answer - model.predict(x, verbose=0))) < 0.1  # each draws z anew


# ----------------------------------------------------------------------------------- compiling


def test_the_papers_adagrad_is_what_compile_takes_where_nothing_is_said(make_vae):
    vae = make_vae()
    assert isinstance(vae.optimizer, keras.optimizers.Adagrad)
    assert float(vae.optimizer.learning_rate) == pytest.approx(0.02)


@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")  # none has moved
@pytest.mark.usefixtures("xla")
@pytest.mark.parametrize(
    ("steps", "jit_compile"), [("auto", "auto"), (1, True), (3, False), ("auto", False)]
)
def test_how_it_was_compiled_is_saved(make_vae, tmp_path, steps, jit_compile):
    vae = make_vae(compiled=False)
    assert vae.get_compile_config() is None
    optimizer = keras.optimizers.Adam(0.003)
    vae.compile(optimizer, steps_per_execution=steps, jit_compile=jit_compile)
    assert vae.jit_compile is (jit_compile is not False)  # "auto" too, on one device
    vae.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    assert loaded.jit_compile is vae.jit_compile
    assert float(loaded.optimizer.learning_rate) == pytest.approx(0.003)
    config = loaded.get_compile_config()
    assert config == vae.get_compile_config()
    assert (config["steps_per_execution"], config["jit_compile"]) == (steps, jit_compile)


@pytest.mark.first(1)
@pytest.mark.usefixtures("xla")
@pytest.mark.parametrize("layer", ["Conv2D", "Conv2DTranspose", "DepthwiseConv2D"])
def test_convolutions_are_not_compiled_on_a_cpu_unless_asked_for(layer, monkeypatch):
    convolution = getattr(keras.layers, layer)
    more = {} if layer == "DepthwiseConv2D" else {"filters": 1}
    inner = keras.Sequential([convolution(kernel_size=3, padding="same", **more)])
    head = layers.DiagonalGaussian(2)
    encoder = keras.Sequential(
        [keras.Input((4, 4, 1)), inner, keras.layers.Flatten(),
         keras.layers.Dense(head.params_size), head]
    )  # fmt: skip
    pixels = layers.Bernoulli((4, 4, 1))
    decoder = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(16), keras.layers.Reshape((4, 4, 1)), pixels]
    )
    vae = VAE(encoder, decoder)
    for jit_compile, compiled in (("auto", False), (True, True), (False, False)):
        vae.compile(jit_compile=jit_compile)
        assert vae.jit_compile is compiled
    x = np.zeros((20, 4, 4, 1), "float32")
    vae.compile()
    vae.fit(x, batch_size=10, verbose=0)
    assert marginal_likelihood.importance_sampling(vae, x[:2], 5).log_likelihood.shape == (2,)
    program = next(iter(vars(vae)["_programs"].values()))[-1]
    assert not program._jit_compile
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["one"])
    vae.compile()
    assert vae.jit_compile


def test_the_noise_of_evaluation_can_be_set_to_a_number(make_vae, x):
    vae = make_vae()
    first, second = vae.elbo(x), vae.elbo(x)
    vae.set_evaluation_noise(0)
    np.testing.assert_array_equal(vae.elbo(x), first)
    np.testing.assert_array_equal(vae.elbo(x), second)


def test_fit_takes_keras_s_arguments_by_position(make_vae, x):
    """x, y, batch_size, epochs, verbose, callbacks, validation_split, validation_data, shuffle."""
    own, of_keras = (list(inspect.signature(kind.fit).parameters) for kind in (VAE, keras.Model))
    assert own[1:10] == of_keras[1:10]
    seen = []
    callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))
    history = make_vae().fit(x, None, 50, 3, 0, [callback], 0.0, x[:20], False).history
    assert seen == [0, 1, 2]
    assert len(history["val_elbo"]) == 3
