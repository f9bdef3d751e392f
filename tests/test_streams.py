"""Minibatches that come in Python: the same ones, each looked at before the model has it."""

import keras
import numpy as np
import pytest

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


def test_a_py_dataset_is_looked_at_at_once_and_then_at_each_minibatch():
    seen = []
    checked = _streams.CheckedPyDataset(Batches(["a", "b", "c"]), seen.append)
    assert seen == ["a"]
    assert [checked[i] for i in (2, 1)] == ["c", "b"]
    assert seen == ["a", "c", "b"]


def test_a_py_dataset_is_in_all_else_as_it_was():
    data = Batches(["a", "b"], workers=3, use_multiprocessing=True, max_queue_size=7)
    checked = _streams.CheckedPyDataset(data, lambda batch: None)
    assert (checked.workers, checked.use_multiprocessing, checked.max_queue_size) == (3, True, 7)
    assert len(checked) == checked.num_batches == 2
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
    for first in (
        lambda: _streams.checked_generator(iter(["bad"]), check),
        lambda: _streams.CheckedPyDataset(Batches(["bad"]), check),
    ):
        with pytest.raises(ValueError, match="no"):
            first()


def test_a_stream_of_nothing_is_refused():
    with pytest.raises(ValueError, match="the data set is empty"):
        _streams.checked_generator(iter([]), print)
    with pytest.raises(ValueError, match="the data set is empty"):
        _streams.CheckedPyDataset(Batches([]), print)
