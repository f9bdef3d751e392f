"""Data that come a minibatch at a time in Python, each looked at on its way to the model."""

from collections.abc import Callable, Iterator

import keras


class CheckedPyDataset(keras.utils.PyDataset):
    """The same minibatches as `data`, after `check` has seen each of them, the first at once."""

    def __init__(self, data: keras.utils.PyDataset, check: Callable):
        super().__init__(data.workers, data.use_multiprocessing, data.max_queue_size)
        self.data, self.check = data, check
        if not len(data):
            raise ValueError("the data set is empty: give at least one datapoint")
        check(data[0])

    def __getitem__(self, index):
        batch = self.data[index]
        self.check(batch)
        return batch

    @property
    def num_batches(self):
        """As Keras asks for it: None for a data set without end."""
        return self.data.num_batches

    def __len__(self):
        return len(self.data)

    def on_epoch_begin(self):
        """Tell the data set."""
        self.data.on_epoch_begin()

    def on_epoch_end(self):
        """Tell the data set."""
        self.data.on_epoch_end()


def checked_generator(data: Iterator, check: Callable) -> Iterator:
    """The same minibatches as `data` yields, after `check` has seen each, the first at once."""
    first = next(data, None)
    if first is None:
        raise ValueError("the data set is empty: give at least one datapoint")
    check(first)

    def checked():  # Keras wants tuples
        yield first if isinstance(first, tuple) else (first,)
        for batch in data:
            check(batch)
            yield batch if isinstance(batch, tuple) else (batch,)

    return checked()
