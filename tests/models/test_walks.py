"""Walking over an array: the same is learned as step by step, in orders that can be told before."""

import gc
import threading
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from oracles.weights import assert_same

from vae_keras import VAE, _orders
from vae_keras.callbacks import StopAtSamples
from vae_keras.models import _walks


def visited(vae, x, *calls, **kwargs):
    """The rows of `x` that `fit` trains on, in their order; `calls`: (steps, epochs) of each."""
    seen = []
    vae.minibatch = lambda x, rows: tf.convert_to_tensor(rows)
    vae.train_step = lambda rows: seen.extend(rows.numpy()) or vae.count_examples(rows) or {}
    vae.compile(steps_per_execution=1, run_eagerly=True)
    for steps, epochs in calls or [(None, 1)]:
        vae.fit(x, steps_per_epoch=steps, epochs=epochs, verbose=0, **kwargs)
    del vae.minibatch, vae.train_step
    return seen


@pytest.fixture
def x(uneven):
    """With a partial minibatch, for it is here that minibatches are told apart."""
    return uneven


@pytest.mark.first(1)
@pytest.mark.parametrize(("jit_compile", "minibatches"), [(False, "auto"), (False, 2), (True, 2)])
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
    assert_same(walked.trainable_variables, stepped.trainable_variables, atol=1e-5)
    assert walked.samples_evaluated == stepped.samples_evaluated == 500


@pytest.mark.long
def test_an_array_a_stream_and_eager_execution_agree(make_vae, x):
    array, stream, eager = (make_vae(seed=1) for _ in range(3))
    eager.compile(run_eagerly=True)
    array.fit(x, epochs=2, verbose=0, shuffle=False)
    stream.fit(tf.data.Dataset.from_tensor_slices(x).batch(100), epochs=2, verbose=0)
    eager.fit(x, epochs=2, verbose=0, shuffle=False)
    for other in (stream, eager):
        assert_same(array.trainable_variables, other.trainable_variables, atol=1e-5)
    array.fit(tf.data.Dataset.from_tensor_slices(x).batch(100), verbose=0)  # and in turn
    stream.fit(x, verbose=0, shuffle=False)
    assert_same(array.trainable_variables, stream.trainable_variables, atol=1e-5)


def test_tensorflows_switch_to_eager_execution_is_followed(make_vae, x):
    """As Keras follows it: one sets it to look into a `train_step`."""
    vae, eager = make_vae(), []
    step = vae.train_step
    vae.train_step = lambda data: eager.append(tf.executing_eagerly()) or step(data)
    tf.config.run_functions_eagerly(True)
    try:
        vae.fit(x, verbose=0)
    finally:
        tf.config.run_functions_eagerly(False)
    assert eager == 3 * [True]


def test_each_epoch_has_an_order_of_its_own_and_fit_goes_on_where_it_ended(make_vae, x):
    seen = visited(make_vae(seed=1), x, (None, 3))
    epochs = [_orders.rows(1, before, 250, 250, True) for before in (0, 250, 500)]
    np.testing.assert_array_equal(seen, np.concatenate(epochs))
    assert visited(make_vae(seed=1), x, (None, 1), (None, 2)) == seen
    assert visited(make_vae(seed=1), x, (2, 1)) == seen[:200]
    assert visited(make_vae(seed=1), x, (None, 2), shuffle=False) == 2 * [*range(250)]


def test_rows_begin_where_a_callback_has_brought_the_model(make_vae, x):
    """As Keras's BackupAndRestore does, once `fit` has begun."""
    vae, later = make_vae(seed=1), make_vae(seed=1)
    seen = visited(vae, x, (None, 3))
    restore = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: later._examples_seen.value.assign(250)
    )
    assert visited(later, x, (None, 2), callbacks=[restore]) == seen[250:]


def test_minibatches_are_gathered_ahead_unless_a_model_may_draw_them(make_vae, x):
    """A thread would draw noise in another order, and once too often."""
    gathered, drawn, threads, seen = make_vae(), make_vae(), [], []

    def draw(array, rows):
        threads.append(threading.current_thread())
        seen.extend(rows.ravel())
        return tf.gather(array, rows)

    drawn.minibatch = draw
    for vae in (gathered, drawn):
        vae.compile(jit_compile=False, steps_per_execution=1)
        back = keras.callbacks.LambdaCallback(  # to the model's beginning, before the third epoch
            on_epoch_begin=lambda epoch, logs, vae=vae: vae._examples_seen.assign(250 * (epoch % 2))
        )
        vae.fit(x, epochs=3, verbose=0, callbacks=[back])
    assert threads == 9 * [threading.main_thread()]
    assert seen[500:] == seen[:250] != seen[250:500]
    assert_same(gathered.get_weights(), drawn.get_weights())


@pytest.mark.parametrize(("epochs", "begins"), [(2, [0, 250]), (9, [0, 250, 500, 750])])
def test_orders_are_drawn_two_epochs_ahead_at_most_and_nothing_is_kept(
    epochs, begins, make_vae, x, monkeypatch
):
    """Of nine epochs a callback ends all but two."""
    vae, walks, drawn, epoch = make_vae(), [], [], _walks.Walk._epoch

    def draw(walk, before):
        walks.append(weakref.ref(walk))
        drawn.append(before)
        return epoch(walk, before)

    monkeypatch.setattr(_walks.Walk, "_epoch", draw)
    gc.disable()  # for a cycle would keep the data until it comes
    try:
        vae.fit(x, epochs=epochs, verbose=0, callbacks=[StopAtSamples(500)])
        assert not any(walk() for walk in walks)
    finally:
        gc.enable()
    assert drawn == begins


def test_steps_per_epoch(make_vae, x):
    vae = make_vae()
    vae.fit(x, steps_per_epoch=1, epochs=2, verbose=0)
    assert vae.samples_evaluated == 200
    vae.fit(x, steps_per_epoch=3, verbose=0)  # all of them, the partial one too
    assert vae.samples_evaluated == 450
    with pytest.raises(ValueError, match="steps_per_epoch is 4, but these data have 3 minibatches"):
        vae.fit(x, steps_per_epoch=4)


@pytest.mark.parametrize(("jit_compile", "sizes"), [(True, {50, 100}), (False, {None})])
def test_one_compilation_serves_all_epochs_and_calls(make_vae, x, jit_compile, sizes):
    """Of XLA one for each size of a minibatch, else one of any size."""
    vae = make_vae(compiled=False)
    vae.compile(jit_compile=jit_compile)
    traced = []
    step = vae.train_step
    vae.train_step = lambda data: traced.append(data.shape[0]) or step(data)
    for _ in range(3):
        vae.fit(x, epochs=3, verbose=0)
    assert set(traced) == sizes
    assert len(traced) <= 2 * len(sizes)  # tf.function may trace twice where it makes variables
    vae.fit(x[:130], epochs=3, verbose=0)
    assert set(traced) == sizes | ({30} if jit_compile else set())
    vae.fit((255 * x).astype("uint8"), verbose=0)  # of another type


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
    monkeypatch.setattr(_walks.Loop, "_fixed_sizes", True)  # as with XLA, which compiles for long
    vae = make_vae()
    for n in range(30, 250, 13):
        vae.fit(x[:n], batch_size=20, verbose=0)
    whole = [shape for shape in traced if shape[0] == 20]
    assert len(whole) == 4  # 2, 4, 8 and 16 minibatches at a time
    partial = {shape[0] for shape in traced} - {20, None}
    assert len(traced) - len(whole) <= _walks.MOST_PARTIAL_SIZES + 2  # then one of any size
    assert len(partial) <= _walks.MOST_PARTIAL_SIZES + 1


@pytest.mark.long
def test_as_on_a_gpu_more_minibatches_are_run_at_a_time_and_the_same_is_learned(
    make_vae, x, monkeypatch
):
    usual, vae, calls = make_vae(), make_vae(), []
    usual.fit(x[:201], batch_size=1, verbose=0)
    monkeypatch.setattr(_walks._programs, "on_gpu", lambda: True)
    note = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: calls.append(vae.examples_seen)
    )
    vae.fit(x[:201], batch_size=1, verbose=0, callbacks=note)
    assert calls == [201]
    assert_same(usual.get_weights(), vae.get_weights())
    row = x[0].astype("float32").nbytes
    monkeypatch.setattr(_walks, "MOST_BYTES", 70 * row)
    vae.fit(x[:201].astype("float32"), batch_size=1, verbose=0, callbacks=note)
    assert calls == [201, 268, 335, 402]  # as many as its memory is to hold
    monkeypatch.setattr(_walks._programs, "on_gpu", lambda: False)
    vae.fit(x[:120].astype("float32"), batch_size=1, verbose=0, callbacks=note)
    assert calls[4:] == [462, 522]  # and as that of a CPU, which takes 100 at most


@pytest.mark.parametrize("shuffle", ["replacement", "passes"])
def test_an_order_without_end_goes_on_where_it_was(shuffle, make_vae, x):
    """However it is divided into epochs, calls and executions."""
    expected = _orders.rows(3, 0, 250, 1000, shuffle).numpy().tolist()
    for calls in ([(10, 1)], [(1, 10)], [(3, 1), (7, 1)], [(2, 3), (4, 1)]):
        vae = make_vae(seed=3)
        assert visited(vae, x, *calls, shuffle=shuffle) == expected
        assert vae.examples_seen == 1000


def test_an_order_without_end_is_of_an_array(make_vae, x):
    stream = tf.data.Dataset.from_tensor_slices(x).batch(100)
    with pytest.raises(ValueError, match="shuffle='passes' orders the rows of an array"):
        make_vae().fit(stream, shuffle="passes")
    with pytest.raises(
        ValueError, match="unknown shuffle 'batch': True, False or one of replacement"
    ):
        make_vae().fit(x, shuffle="batch")


@pytest.mark.parametrize("stream", [False, True])
def test_a_train_step_is_traced_as_keras_traces_it(make_vae, x, stream):
    """Its Python is not rewritten, which takes seconds: a branch on a tensor is none."""

    class Branching(VAE):
        def train_step(self, data):
            if tf.random.uniform(()) > 2:
                raise AssertionError
            return super().train_step(data)

    plain = make_vae(compiled=False)
    model = Branching(plain.encoder, plain.decoder)
    model.compile()
    data = tf.data.Dataset.from_tensor_slices(x).batch(100) if stream else x
    with pytest.raises(TypeError, match="symbolic"):
        model.fit(data, verbose=0)
