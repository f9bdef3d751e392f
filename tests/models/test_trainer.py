"""`fit`, `evaluate`, saving and exporting, as a Keras user tries them on the first day."""

import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from vae_keras import (
    VAE,
    FullVB,
    MonteCarloEM,
    WakeSleep,
    _orders,
    layers,
    marginal_likelihood,
    networks,
)
from vae_keras.layers import DiagonalGaussian
from vae_keras.models import trainer


def assert_equal_weights(one, other):
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def visited(vae, x, *calls, **kwargs):
    """The rows of `x` that `fit` visits, in their order; `calls`: (steps, epochs) of each."""
    seen, minibatch = [], vae.minibatch
    vae.minibatch = lambda x, rows: seen.extend(np.ravel(rows)) or minibatch(x, rows)
    vae.train_step = lambda x: vae.count_examples(x) or {}  # the order hangs on nothing else
    vae.compile(steps_per_execution=1)
    for steps, epochs in calls or [(None, 1)]:
        vae.fit(x, steps_per_epoch=steps, epochs=epochs, verbose=0, **kwargs)
    vae.minibatch = minibatch
    del vae.train_step
    return seen


class Rows(keras.utils.PyDataset):
    """Minibatches of 100, plain or with targets."""

    def __init__(self, x, wrap=lambda x: x):
        super().__init__()
        self.x, self.wrap = x, wrap

    def __len__(self):
        return -(-len(self.x) // 100)

    def __getitem__(self, i):
        return self.wrap(self.x[100 * i : 100 * (i + 1)])


def generator(x, wrap=lambda x: x):
    for i in range(0, len(x), 100):
        yield wrap(x[i : i + 100])


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
        model.fit(x, epochs=3, verbose=0, callbacks=callbacks, **kwargs)
        return [variable.numpy() for variable in model.trainable_variables]

    def looking(model):
        return keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: look(model))

    watched = learned(looking, validation_data=None if algorithm is MonteCarloEM else x[:100])
    for a, b in zip(learned(), watched, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


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


@pytest.mark.long
def test_large_seeds_are_streams_of_their_own(make_vae):
    seeds = (5, 2**32 + 5, 2**64 + 5)
    first = {tuple(make_vae(seed=seed).noise_seed(True).numpy()) for seed in seeds}
    assert len(first) == 3
    x = np.zeros((250, 12), "float32")
    assert len({tuple(visited(make_vae(seed=seed), x)) for seed in seeds}) == 3
    for bad in (-1, 1.5, "7"):
        with pytest.raises(ValueError, match=r"the seed is .*, but must be an integer"):
            make_vae(seed=bad)
    model = MonteCarloEM(networks.bernoulli_decoder(2, 8, 12), 10, seed=2**40)
    assert model.chains.shape == (10, 2)


# ----------------------------------------------------------------------------------- going on

LOADER = """
import keras, numpy as np, sys, vae_keras
vae = keras.saving.load_model(sys.argv[1] + "/vae.keras")
x = np.load(sys.argv[1] + "/x.npy")
outputs = {"reconstruct": vae.reconstruct(x), "sample": vae.sample(5), "elbo": vae.elbo(x)}
vae.fit(x, epochs=2, shuffle=False, verbose=0)
outputs |= {"bound_after": vae.elbo(x), "samples": vae.samples_evaluated}
np.savez(sys.argv[1] + "/outputs.npz", **outputs)
"""


@pytest.mark.long
@pytest.mark.usefixtures("xla")
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
    assert loaded["samples"] == vae.samples_evaluated == 1000


KILLED = """
import sys, keras, numpy as np
from vae_keras import VAE, networks
die, *folders = sys.argv[1:]
x = np.random.default_rng(0).uniform(size=(250, 12)).astype("float32")

class Die(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == int(die):
            import os, signal
            os.kill(os.getpid(), signal.SIGKILL)

for folder in folders:
    keras.utils.set_random_seed(0)
    vae = VAE(networks.gaussian_encoder(12, 8, 2), networks.bernoulli_decoder(2, 8, 12), seed=1)
    vae.compile(keras.optimizers.Adam(0.01))  # by XLA, which repeats itself bit for bit
    backup = keras.callbacks.BackupAndRestore(folder + "/backup", delete_checkpoint=False)
    vae.fit(x, epochs=6, verbose=0, callbacks=[backup, Die()])
    np.savez(folder + "/weights.npz", *vae.get_weights())
"""


@pytest.mark.long
@pytest.mark.usefixtures("xla")
def test_backup_and_restore_goes_on_bit_for_bit(tmp_path):
    folders = [tmp_path / name for name in ("killed", "undisturbed")]

    def start(die, folders):
        command = [sys.executable, "-c", KILLED, str(die), *map(str, folders)]
        return subprocess.run(command, capture_output=True, text=True)

    for folder in folders:
        folder.mkdir()
    assert start(3, folders[:1]).returncode == -signal.SIGKILL
    done = start(-1, folders)
    assert done.returncode == 0, done.stderr
    with (
        np.load(tmp_path / "killed/weights.npz") as a,
        np.load(tmp_path / "undisturbed/weights.npz") as b,
    ):
        for key in b:
            np.testing.assert_array_equal(a[key], b[key])


# ------------------------------------------------------------------------- walking over arrays


def assert_close_weights(one, other):
    for a, b in zip(one.trainable_variables, other.trainable_variables, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.first(1)
@pytest.mark.parametrize(
    ("jit_compile", "minibatches"),
    [
        (False, "auto"),
        (False, 2),
        (False, 1),
        (True, 2),
        (True, "auto"),
    ],
)
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


@pytest.mark.long
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
    """And a second `fit` goes on where the first ended."""
    seen = visited(make_vae(seed=1), x, (None, 3))
    epochs = np.reshape(seen, (3, 250))
    np.testing.assert_array_equal(np.sort(epochs), 3 * [np.arange(250)])
    assert (epochs[0] != epochs[1]).mean() > 0.9
    assert (epochs[1] != epochs[2]).mean() > 0.9
    assert visited(make_vae(seed=1), x, (None, 1), (None, 2)) == seen
    assert visited(make_vae(seed=1), x, (2, 1)) == seen[:200]
    assert visited(make_vae(seed=1), x, (None, 2), shuffle=False) == 2 * [*range(250)]


@pytest.mark.first(2)
@pytest.mark.parametrize("shuffle", [True, "passes", "replacement"])
def test_the_rows_follow_from_the_seed_and_from_what_was_visited(make_vae, x, shuffle):
    """As `_orders` has them, in as many parts as an epoch is run in."""
    vae = make_vae(seed=5)
    vae.fit(x[:70], verbose=0)
    expected = _orders.rows(5, 70, 250, 250, shuffle).numpy()
    assert visited(vae, x, shuffle=shuffle)[:250] == expected.tolist()


def test_rows_begin_where_a_callback_has_brought_the_model(make_vae, x):
    """As Keras's BackupAndRestore does, once `fit` has begun."""
    vae, later = make_vae(seed=1), make_vae(seed=1)
    seen = visited(vae, x, (None, 3))
    restore = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: later._examples_seen.value.assign(250)
    )
    assert visited(later, x, (None, 2), callbacks=[restore]) == seen[250:]


@pytest.mark.long
def test_batch_callbacks_are_called_as_steps_per_execution_says(make_vae, x):
    vae, seen = make_vae(), []
    callback = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(batch)
    )
    vae.fit(x, verbose=0, callbacks=[callback])
    assert seen == [2]
    vae.compile(steps_per_execution=1)
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
    assert vae.samples_evaluated == 200
    assert history["val_elbo"][0] == pytest.approx(vae.elbo(x[200:]).mean(), abs=0.1)


def test_steps_per_epoch(make_vae, x):
    vae = make_vae()
    vae.fit(x, steps_per_epoch=1, epochs=2, verbose=0)
    assert vae.samples_evaluated == 200
    vae.fit(x, steps_per_epoch=3, verbose=0)  # all of them, the partial one too
    assert vae.samples_evaluated == 450
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


@pytest.mark.first(1)
@pytest.mark.parametrize("epochs", [1, 3])
def test_initial_epoch_and_history(make_vae, x, epochs):
    vae = make_vae()
    assert vae.fit(x, epochs=4, initial_epoch=4 - epochs, verbose=0).epoch == list(
        range(4 - epochs, 4)
    )


# ------------------------------------------------------------------------------------- streams


@pytest.mark.first(2)
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
    vae = make_vae()
    history = vae.fit(data, validation_data=held_out, verbose=0).history
    assert np.isfinite(history["val_elbo"]).all()
    assert vae.evaluate(data, verbose=0)[0] > 0


def test_a_dataset_of_pairs_is_read_without_its_labels(make_vae, x):
    pairs = tf.data.Dataset.from_tensor_slices((x, np.zeros(250))).batch(100)
    vae, other = make_vae(seed=1), make_vae(seed=1)
    vae.fit(pairs, verbose=0)
    other.fit(tf.data.Dataset.from_tensor_slices(x).batch(100), verbose=0)
    assert_equal_weights(vae, other)


@pytest.mark.first(1)
@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # Keras: of a generator
@pytest.mark.parametrize("stream", [Rows, generator])
def test_python_streams(make_vae, x, stream):
    def encoder():
        keras.utils.set_random_seed(0)
        layers = [keras.layers.Dense(4), DiagonalGaussian(2)]
        return keras.Sequential(layers)  # not built: only the data say how many pixels there are

    def learned(data, again):
        """The model, its weights, and then its loss of the same data."""
        model = make_vae(encoder(), seed=1)
        model.fit(data, shuffle=False, verbose=0)
        weights = model.get_weights()
        return model, weights, model.evaluate(again, verbose=0, return_dict=True)["loss"]

    _, weights, loss = learned(x, x)
    for wrap in (lambda x: x, lambda x: (x,), lambda x: (x, x[:, 0])):
        streamed, its_weights, its_loss = learned(stream(x, wrap), stream(x, wrap))
        for a, b in zip(weights, its_weights, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)
        assert its_loss == pytest.approx(loss, rel=0.1)
        assert streamed.predict(stream(x, wrap), verbose=0).shape == x.shape


@pytest.mark.first(4)
@pytest.mark.parametrize("stream", [Rows, generator])
@pytest.mark.parametrize("use", ["fit", "evaluate", "predict", "validation"])
def test_pixels_out_of_range_in_a_python_stream(make_vae, x, stream, use):
    vae, bad = make_vae(), stream(255 * x)
    call = {
        "validation": lambda: vae.fit(x, validation_data=bad, verbose=0),
    }.get(use) or (lambda: getattr(vae, use)(bad, verbose=0))
    with pytest.raises(ValueError, match=r"pixels lie in .*\[0, 1\]"):
        call()
    assert vae.samples_evaluated == (
        250 if use == "validation" and stream is Rows else 0
    )  # not read ahead
    late = stream(np.concatenate([x[:100], 255 * x]))  # only its second minibatch is bad
    with pytest.raises(ValueError, match=r"pixels lie in .*\[0, 1\]"):
        vae.fit(late, verbose=0)


def test_a_stream_of_nothing_and_a_stream_of_another_kind(make_vae, x):
    for stream in (Rows, generator):
        with pytest.raises(ValueError, match="the data set is empty"):
            make_vae().fit(stream(x[:0]), verbose=0)
    with pytest.raises(ValueError, match=r"the data are a dict_values: give an array, a tf\.data"):
        make_vae().fit({"x": x}.values())


@pytest.mark.long
def test_validation_data_of_every_kind(make_vae, x):
    vae = make_vae()
    losses = [
        vae.fit(x, validation_data=data, verbose=0).history["val_loss"][0]
        for data in (x, (x,), (x, x), [x, x], list(x), list(x[:2]), Rows(x))
    ]
    assert np.ptp(losses) < 1
    _, held_out = np.split(x, [200])
    assert len(held_out) == 50
    assert "val_loss" in vae.fit(x, validation_split=0.2, verbose=0).history


# ------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize("split", [-0.2, 1.0, 1.5])
def test_a_validation_split_out_of_range(make_vae, x, split):
    with pytest.raises(ValueError, match=rf"validation_split is {split}, but must be at least 0"):
        make_vae().fit(x, validation_split=split)


def test_a_validation_split_that_leaves_nothing(make_vae, x):
    with pytest.raises(ValueError, match="divides 1 datapoints into 0 and 1: leave some for both"):
        make_vae().fit(x[:1], validation_split=0.5)


def test_a_validation_split_of_a_stream(make_vae, x):
    stream = tf.data.Dataset.from_tensor_slices(x).batch(100)
    for data in (stream, Rows(x), generator(x)):
        with pytest.raises(ValueError, match="validation_split divides arrays only"):
            make_vae().fit(data, validation_split=0.2)


def test_sample_weights_wherever_they_come(make_vae, x):
    vae, weights = make_vae(), np.ones(250, "float32")
    stream = tf.data.Dataset.from_tensor_slices((x, x, weights)).batch(100)
    for call in (
        lambda: vae.fit(x, sample_weight=weights),
        lambda: vae.fit(x, class_weight={0: 1.0}),
        lambda: vae.fit(stream),
        lambda: vae.fit(Rows(x, lambda x: (x, x, np.ones(len(x))))),
        lambda: vae.fit(generator(x, lambda x: (x, x, np.ones(len(x))))),
        lambda: vae.fit(x, validation_data=(x, x, weights)),
        lambda: vae.evaluate(x, sample_weight=weights),
        lambda: vae.evaluate(stream),
    ):
        with pytest.raises(ValueError, match="takes no sample_weight"):
            call()


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
    compiled = make_vae()
    compiled.fit(x, verbose=0)
    compiled.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras", compile=False)
    loaded.save(tmp_path / "again.keras")
    np.testing.assert_array_equal(compiled.predict(x, verbose=0), loaded.predict(x, verbose=0))


# -------------------------------------------------------------------------------------- serving


@pytest.mark.first(1)
@pytest.mark.parametrize("after", ["fit", "evaluate", "load"])
def test_an_exported_model_serves_what_the_model_gives(make_vae, x, tmp_path, after):
    vae = make_vae()
    if after == "evaluate":
        vae.evaluate(x, verbose=0)
    else:
        vae.fit(x, verbose=0)
    if after == "load":
        vae.save(tmp_path / "vae.keras")
        vae = keras.saving.load_model(tmp_path / "vae.keras")
    vae.export(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "served"))
    for n in (1, 250):
        np.testing.assert_allclose(served.serve(x[:n]), vae.predict(x[:n], verbose=0), atol=1e-6)


@pytest.mark.long
@pytest.mark.usefixtures("xla")
def test_monte_carlo_em_is_exported(x, tmp_path):
    keras.utils.set_random_seed(0)
    decoder = networks.bernoulli_decoder(2, 8, 12)
    model = MonteCarloEM(decoder, 250, seed=1, leapfrog_steps=2)  # few: without XLA each is slow
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


@pytest.mark.first(3)
@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")  # none has moved
@pytest.mark.parametrize("steps", ["auto", 1, 3])
@pytest.mark.usefixtures("xla")
@pytest.mark.parametrize("jit_compile", ["auto", True, False])
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


def test_many_minibatches_are_run_in_parts_as_even_as_can_be(make_vae, x):
    vae, calls = make_vae(), []
    note = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: calls.append(vae.examples_seen)
    )
    vae.fit(x[:201], batch_size=1, verbose=0, callbacks=note)
    assert calls == [67, 134, 201]  # not 100, 200 and one more


@pytest.mark.long
def test_arrays_of_many_lengths_are_compiled_for_few_times(make_vae, x, monkeypatch):
    traced = []
    step = VAE.train_step

    def count(self, data):
        traced.append(data.shape)
        return step(self, data)

    monkeypatch.setattr(VAE, "train_step", count)
    vae = make_vae()  # what XLA would compile is what is traced
    for n in range(30, 250, 13):
        vae.fit(x[:n], batch_size=20, verbose=0)
    whole = [shape for shape in traced if shape[0] == 20]
    assert len(whole) == 4  # 2, 4, 8 and 16 minibatches at a time
    partial = {shape[0] for shape in traced} - {20, None}
    assert len(traced) - len(whole) <= trainer.MOST_PARTIAL_SIZES + 2  # then one of any size
    assert len(partial) <= trainer.MOST_PARTIAL_SIZES + 1


@pytest.mark.long
def test_as_on_a_gpu_more_minibatches_are_run_at_a_time_and_the_same_is_learned(
    make_vae, x, monkeypatch
):
    usual, vae, calls = make_vae(), make_vae(), []
    usual.fit(x[:201], batch_size=1, verbose=0)
    monkeypatch.setattr(trainer._programs, "on_gpu", lambda: True)
    note = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: calls.append(vae.examples_seen)
    )
    vae.fit(x[:201], batch_size=1, verbose=0, callbacks=note)
    assert calls == [201]
    for a, b in zip(usual.get_weights(), vae.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    row = x[0].astype("float32").nbytes
    monkeypatch.setattr(trainer, "MOST_BYTES", 70 * row)
    vae.fit(x[:201].astype("float32"), batch_size=1, verbose=0, callbacks=note)
    assert calls == [201, 268, 335, 402]  # as many as its memory is to hold
    monkeypatch.setattr(trainer._programs, "on_gpu", lambda: False)
    vae.fit(x[:120].astype("float32"), batch_size=1, verbose=0, callbacks=note)
    assert calls[4:] == [462, 522]  # and as that of a CPU, which takes 100 at most


@pytest.mark.parametrize("shuffle", ["replacement", "passes"])
def test_an_order_without_end_goes_on_where_it_was(shuffle, make_vae, x):
    """However it is divided into epochs, calls and executions, and from a saved model."""

    def rows(*calls):
        vae = make_vae(seed=3)
        seen = visited(vae, x, *calls, shuffle=shuffle)
        assert vae.examples_seen == len(seen) == 100 * sum(s * e for s, e in calls)
        return seen

    once = rows((10, 1))
    assert once == rows((1, 10)) == rows((3, 1), (7, 1)) == rows((2, 3), (4, 1))
    if shuffle == "passes":
        for k in range(4):
            assert sorted(once[250 * k : 250 * (k + 1)]) == list(range(250))
        assert once[:250] != once[250:500]
    else:
        shares = np.bincount(once, minlength=250)
        assert shares.max() > 6  # passes would give 4 each
        assert abs(np.mean(once) - 124.5) < 3 * 250 / np.sqrt(12 * 1000)


def test_an_order_without_end_is_of_an_array(make_vae, x):
    stream = tf.data.Dataset.from_tensor_slices(x).batch(100)
    with pytest.raises(ValueError, match="shuffle='passes' is an order of an array's rows"):
        make_vae().fit(stream, shuffle="passes")
    with pytest.raises(ValueError, match="shuffle is 'batch': True, False or one of replacement"):
        make_vae().fit(x, shuffle="batch")


def test_the_noise_of_evaluation_can_be_set_to_a_number(make_vae, x):
    vae = make_vae()
    first, second = vae.elbo(x), vae.elbo(x)
    vae.set_evaluation_noise(0)
    np.testing.assert_array_equal(vae.elbo(x), first)
    np.testing.assert_array_equal(vae.elbo(x), second)
