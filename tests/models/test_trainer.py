"""`fit`, `evaluate`, saving and exporting, as a Keras user tries them on the first day."""

import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from vae_keras import VAE, MonteCarloEM, NonFiniteBoundError, networks
from vae_keras.layers import DiagonalGaussian
from vae_keras.models import trainer


def assert_equal_weights(one, other):
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


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


# ---------------------------------------------------------------------------- looking on the way


def test_looking_does_not_change_what_is_learned(make_vae, x):
    """Neither validation nor any other look at the model moves the noise of training."""
    alone, watched = make_vae(seed=1), make_vae(seed=1)
    alone.fit(x, epochs=3, verbose=0)
    look = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: (watched.elbo(x), watched.sample(3), watched.evaluate(x, verbose=0))
    )
    watched.fit(x, epochs=3, verbose=0, validation_data=x[:100], callbacks=[look])
    for a, b in zip(alone.trainable_variables, watched.trainable_variables, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_training_and_evaluation_share_no_noise(make_vae):
    vae = make_vae(seed=1)
    seeds = [tuple(vae.noise_seed(training).numpy()) for training in (True, False) * 5]
    assert len(set(seeds)) == 10


@pytest.mark.parametrize("seed", [0, 2**31 - 1, 2**31, 2**32 + 5, 2**64 + 1])
def test_any_non_negative_integer_is_a_seed(make_vae, x, seed, tmp_path):
    vae = make_vae(seed=seed)
    vae.fit(x, verbose=0)
    vae.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    assert loaded.seed == seed
    np.testing.assert_array_equal(vae.sample(3), loaded.sample(3))
    other = make_vae(seed=seed + 1)
    other.fit(x, verbose=0)
    assert not np.array_equal(vae.sample(3), other.sample(3))


def test_large_seeds_are_streams_of_their_own(make_vae):
    seeds = (5, 2**32 + 5, 2**64 + 5)
    first = {tuple(make_vae(seed=seed).noise_seed(True).numpy()) for seed in seeds}
    assert len(first) == 3
    orders = [next(iter(make_vae(seed=s)._rows(250, 250, 250, True))).numpy() for s in seeds]
    assert not np.array_equal(orders[0], orders[1])
    for bad in (-1, 1.5, "7"):
        with pytest.raises(ValueError, match=r"the seed is .*, but must be an integer"):
            make_vae(seed=bad)
    model = MonteCarloEM(networks.bernoulli_decoder(2, 8, 12), 10, seed=2**40)
    assert model.chains.shape == (10, 2)


# ----------------------------------------------------------------------------------- going on

KILLED = """
import sys, keras, numpy as np
from vae_keras import VAE, networks
folder, die = sys.argv[1], int(sys.argv[2])
x = np.random.default_rng(0).uniform(size=(250, 12)).astype("float32")
keras.utils.set_random_seed(0)
vae = VAE(networks.gaussian_encoder(12, 8, 2), networks.bernoulli_decoder(2, 8, 12), seed=1)
vae.compile(keras.optimizers.Adam(0.01))  # by XLA, which repeats itself bit for bit

class Die(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == die:
            import os, signal
            os.kill(os.getpid(), signal.SIGKILL)

backup = keras.callbacks.BackupAndRestore(folder + "/backup", delete_checkpoint=False)
vae.fit(x, epochs=6, verbose=0, callbacks=[backup, Die()])
np.savez(folder + "/weights.npz", *vae.get_weights())
"""


@pytest.mark.long
def test_backup_and_restore_goes_on_bit_for_bit(tmp_path):
    def start(folder, die):
        folder.mkdir(exist_ok=True)
        command = [sys.executable, "-c", KILLED, str(folder), str(die)]
        return subprocess.run(command, capture_output=True, text=True)

    assert start(tmp_path / "killed", 3).returncode == -signal.SIGKILL
    for name in ("killed", "undisturbed"):
        done = start(tmp_path / name, -1)
        assert done.returncode == 0, done.stderr
    with (
        np.load(tmp_path / "killed/weights.npz") as a,
        np.load(tmp_path / "undisturbed/weights.npz") as b,
    ):
        for key in b:
            np.testing.assert_array_equal(a[key], b[key])


# ---------------------------------------------------------------------------------- diverging


def unbounded(optimizer):
    """A model that a large step size makes diverge, on data of both signs."""
    keras.utils.set_random_seed(0)
    dense = [keras.layers.Dense(4), keras.layers.Dense(24)]
    vae = VAE(
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


# ------------------------------------------------------------------------------------- streams


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: (x,), lambda x: (x, x[:, 0])])
@pytest.mark.parametrize("stream", [Rows, generator])
def test_python_streams(make_vae, x, stream, wrap):
    def encoder():
        keras.utils.set_random_seed(0)
        layers = [keras.layers.Dense(4), DiagonalGaussian(2)]
        return keras.Sequential(layers)  # not built: only the data say how many pixels there are

    array, streamed = make_vae(encoder(), seed=1), make_vae(encoder(), seed=1)
    for model, data in ((array, x), (streamed, stream(x, wrap))):
        model.fit(data, shuffle=False, verbose=0)
    for a, b in zip(array.get_weights(), streamed.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    losses = [
        m.evaluate(data, verbose=0, return_dict=True)["loss"]
        for m, data in ((array, x), (streamed, stream(x, wrap)))
    ]
    assert losses[0] == pytest.approx(losses[1], rel=0.1)
    assert streamed.predict(stream(x, wrap), verbose=0).shape == x.shape


@pytest.mark.parametrize("stream", [Rows, generator])
@pytest.mark.parametrize("use", ["fit", "evaluate", "predict", "validation"])
def test_pixels_out_of_range_in_a_python_stream(make_vae, x, stream, use):
    vae, bad = make_vae(), stream(255 * x)
    call = {
        "validation": lambda: vae.fit(x, validation_data=bad, verbose=0),
    }.get(use) or (lambda: getattr(vae, use)(bad, verbose=0))
    with pytest.raises(ValueError, match=r"pixels lie in .*\[0, 1\]"):
        call()
    assert vae.samples == 0
    late = stream(np.concatenate([x[:100], 255 * x]))  # only its second minibatch is bad
    with pytest.raises(ValueError, match=r"pixels lie in .*\[0, 1\]"):
        vae.fit(late, verbose=0)


def test_a_stream_of_nothing_and_a_stream_of_another_kind(make_vae, x):
    for stream in (Rows, generator):
        with pytest.raises(ValueError, match="the data set is empty"):
            make_vae().fit(stream(x[:0]), verbose=0)
    with pytest.raises(ValueError, match=r"the data are a dict_values: give an array, a tf\.data"):
        make_vae().fit({"x": x}.values())


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


def test_monte_carlo_em_is_exported(x, tmp_path):
    keras.utils.set_random_seed(0)
    model = MonteCarloEM(networks.bernoulli_decoder(2, 8, 12), 250, seed=1)
    model.compile(jit_compile=False)
    model.fit(x, verbose=0)
    model.export(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "served"))
    answer = served.serve(x)
    assert answer.shape == x.shape
    assert np.mean(np.abs(answer - model.predict(x, verbose=0))) < 0.1  # each draws z anew


# ----------------------------------------------------------------------------------- compiling


def test_arrays_of_many_lengths_are_compiled_for_few_times(make_vae, x, monkeypatch):
    traced = []
    step = VAE.train_step

    def count(self, data):
        traced.append(data.shape)
        return step(self, data)

    monkeypatch.setattr(VAE, "train_step", count)
    vae = make_vae(compiled=False)
    vae.compile()
    for n in range(30, 250, 13):
        vae.fit(x[:n], batch_size=20, verbose=0)
    whole = [shape for shape in traced if shape[0] == 20]
    assert len(whole) == 4  # by XLA: 2, 4, 8 and 16 minibatches at a time
    partial = {shape[0] for shape in traced} - {20, None}
    assert len(traced) - len(whole) <= trainer.MOST_PARTIAL_SIZES + 2  # then one of any size
    assert len(partial) <= trainer.MOST_PARTIAL_SIZES + 1


@pytest.mark.parametrize("shuffle", ["replacement", "passes"])
def test_an_order_without_end_goes_on_where_it_was(shuffle, make_vae, x):
    """However it is divided into epochs, calls and executions, and from a saved model."""

    def rows(*calls):
        vae, seen = make_vae(seed=3), []
        minibatch = vae.minibatch
        vae.minibatch = lambda x, rows: seen.extend(np.ravel(rows)) or minibatch(x, rows)
        vae.compile(jit_compile=False, steps_per_execution=1)
        for steps, epochs in calls:
            vae.fit(x, steps_per_epoch=steps, epochs=epochs, shuffle=shuffle, verbose=0)
        assert vae.visits == len(seen) == 100 * sum(s * e for s, e in calls)
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
