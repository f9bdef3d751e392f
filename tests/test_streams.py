"""Minibatches that come in Python: the same ones, each looked at before the model has it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from vae_keras import _streams


class Batches(keras.utils.PyDataset):
    def __init__(self, batches, endless=False, **kwargs):
        super().__init__(**kwargs)
        self.batches, self.endless, self.told = batches, endless, []

    def __getitem__(self, index):
        return self.batches[index]

    @property
    def num_batches(self):
        return None if self.endless else len(self.batches)

    def __len__(self):
        return len(self.batches)

    def on_epoch_begin(self):
        self.told.append("begin")

    def on_epoch_end(self):
        self.told.append("end")


def test_each_minibatch_of_a_py_dataset_is_looked_at_when_it_is_asked_for():
    seen = []
    checked = _streams.CheckedPyDataset(Batches(["a", "b", "c"]), seen.append)
    assert [checked[i] for i in (2, 1)] == ["c", "b"]
    assert seen == ["c", "b"]  # and no other: it may draw at random


def test_a_py_dataset_is_in_all_else_as_it_was():
    data = Batches(["a", "b"], workers=3, use_multiprocessing=True, max_queue_size=7)
    checked = _streams.CheckedPyDataset(data, lambda batch: None)
    assert (checked.workers, checked.use_multiprocessing, checked.max_queue_size) == (3, True, 7)
    assert len(checked) == checked.num_batches == 2
    checked.on_epoch_end()  # as Keras calls it before the first epoch
    checked.on_epoch_begin()
    checked.on_epoch_end()
    assert data.told == ["begin", "end"]
    endless = _streams.CheckedPyDataset(Batches(["a"], endless=True), lambda batch: None)
    assert endless.num_batches is None


def test_a_generator_is_looked_at_at_once_and_then_at_each_minibatch():
    seen, x = [], np.ones((2, 3))
    batches = [x, (x, "y"), x + 1]
    checked = _streams.checked_generator(iter(batches), seen.append)
    assert len(seen) == 1
    found = list(checked)
    assert [len(batch) for batch in found] == [1, 2, 1]  # tuples, as Keras wants them
    assert found[1] is batches[1]
    np.testing.assert_array_equal(found[2][0], x + 1)
    assert [batch is given for batch, given in zip(seen, batches, strict=True)] == 3 * [True]


def test_a_minibatch_that_is_refused_does_not_come():
    def check(batch):
        if batch == "bad":
            raise ValueError("no")

    later = _streams.checked_generator(iter(["good", "good", "bad"]), check)
    assert [next(later), next(later)] == [("good",), ("good",)]
    with pytest.raises(ValueError, match="no"):
        next(later)
    checked = _streams.CheckedPyDataset(Batches(["good", "bad"]), check)
    with pytest.raises(ValueError, match="no"):
        checked[1]
    with pytest.raises(ValueError, match="no"):
        _streams.checked_generator(iter(["bad"]), check)


def test_a_tf_data_stream_is_read_once_and_each_minibatch_looked_at():
    begun, seen = [], []

    def numbers():
        begun.append(True)
        yield from ([float(k)] for k in range(6))

    stream = tf.data.Dataset.from_generator(numbers, output_signature=tf.TensorSpec((1,)))
    stream = stream.batch(2).map(lambda x: (x, x + 1))
    checked = _streams.checked_dataset(stream, lambda x: seen.append(x.tolist()), (1,))
    assert not begun
    found = [(x.numpy().tolist(), y.numpy().tolist()) for x, y in checked]
    assert len(begun) == 1
    assert [x for x, _ in found] == seen == [[[0], [1]], [[2], [3]], [[4], [5]]]
    assert found[0][1] == [[1], [2]]


def test_a_stream_keeps_the_form_of_its_minibatches():
    x, y = np.zeros((4, 2), "float32"), np.arange(4)
    for data, parts in ((x, None), ((x,), 1), ((x, y), 2)):
        stream = tf.data.Dataset.from_tensor_slices(data).batch(2)
        checked = _streams.checked_dataset(stream, lambda x: None, (2,))
        assert checked.element_spec == stream.element_spec
        first = next(iter(checked))
        assert (len(first) if isinstance(first, tuple) else None) == parts


def test_what_a_minibatch_is_refused_for_is_said_in_its_own_words():
    def check(x):
        if x.max() > 3:
            raise ValueError(f"{x.max()} is too much: take less")

    stream = tf.data.Dataset.range(6).batch(2)
    checked = _streams.checked_dataset(stream, check, ())
    with pytest.raises(ValueError, match=r"^5 is too much: take less$"), _streams.refusals():
        list(checked)
    with pytest.raises(tf.errors.InvalidArgumentError), _streams.refusals():
        tf.reshape(tf.zeros(3), (2, 2))


def test_the_x_of_any_stream_comes_in_parts():
    x = np.arange(10.0)[:, None]
    batches = [x[:4], (x[4:8], "y"), (x[8:],)]
    stream = tf.data.Dataset.from_tensor_slices((x, x)).batch(4)
    for data in (x, stream, Batches(batches), iter(batches)):
        parts = list(_streams.minibatches(data, 3))
        assert max(map(len, parts)) <= 3
        np.testing.assert_array_equal(np.concatenate(parts), x)


def test_a_stream_of_nothing_is_refused():
    with pytest.raises(ValueError, match="the data set is empty"):
        _streams.checked_dataset(tf.data.Dataset.range(0), print, ())
    with pytest.raises(ValueError, match="the data set is empty"):
        _streams.checked_generator(iter([]), print)
    with pytest.raises(ValueError, match="the data set is empty"):
        _streams.CheckedPyDataset(Batches([]), print)
