"""How `fit` walks over an array: which rows an epoch has, and many minibatches in one program."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from vae_keras import _orders, _programs
from vae_keras._orders import ENDLESS
from vae_keras.typing import Data

MOST_MINIBATCHES = 100  # in one call of the compiled program
MOST_ON_GPU = 1000  # there
MOST_BYTES = 2**29  # of them together
SIZES = (1, 2, 4, 8, 16, 32, 64, MOST_MINIBATCHES)  # for so many it is compiled
MOST_PARTIAL_SIZES = 4  # of last minibatches that are compiled for; others do without XLA


class Loop:
    """`train_step` of a model on one minibatch after the other; it compiles when it is called.

    The model keeps it, so that what is compiled serves all calls of `fit`.
    """

    def __init__(self, model: Any):
        self.model = model
        self.forget()

    def forget(self) -> None:
        """Drop what was compiled."""
        self._programs: Any = None
        self._partial_sizes: set[int] = set()

    def _compile(self):
        model = self.model

        def many(stack, minibatches):
            def one(k):
                with _programs.vectorised(model.jit_compile):
                    model.train_step(tf.nest.map_structure(lambda x: x[k], stack))
                return (k + 1,)

            tf.while_loop(lambda k: k < minibatches, one, [tf.constant(0)])
            return model.get_metrics_result()

        if model.run_eagerly:
            return many, model.train_step
        # As Keras traces a `train_step`: rewriting its code takes longer than tracing it.
        by_xla = tf.function(many, jit_compile=model.jit_compile, autograph=False)
        return by_xla, tf.function(model.train_step, reduce_retracing=True, autograph=False)

    def __call__(self, array: tf.Tensor, rows: np.ndarray, size: int, room: int) -> Any:
        """Learn from these rows, `size` at a time: the metrics.

        The program is compiled for `room` minibatches, at least as many as there are whole ones.
        """
        many, one = self._programs = self._programs or self._compile()
        minibatch, sizes = self.model.minibatch, self._partial_sizes
        full, partial = divmod(len(rows), size)
        if full:
            padded = np.resize(rows[: full * size], (room, size))
            # A GPU need not tell the host after each step of a loop of known length to go on.
            known = _programs.on_gpu() and full == room
            logs = many(minibatch(array, padded), full if known else tf.constant(full))
        rest = rows[full * size :]
        if partial and (partial in sizes or len(sizes) < MOST_PARTIAL_SIZES):
            sizes.add(partial)
            logs = many(minibatch(array, rest[None]), tf.constant(1))
        elif partial:
            logs = one(minibatch(array, rest))
        return logs


class Walk:
    """One `fit` on an array x, (N, *input), M = `size` datapoints at a time.

    `shuffle` and `steps_per_epoch` are as `Trainer.fit` takes them; `at_once`: minibatches of one
    call of the program, None for as many as do well. Of several devices Keras iterates over
    `minibatches`; of one over `parts`, and the walk, called with the iterator, is what it trains
    by: as the model's train function, since that is all that Keras hands the iterator to.
    """

    def __init__(
        self,
        loop: Loop,
        x: Data,
        size: int,
        shuffle: bool | str,
        steps_per_epoch: int | None,
        at_once: int | None,
    ):
        per_epoch = -(-len(x) // size)
        if steps_per_epoch is not None:
            if steps_per_epoch < 1 or (steps_per_epoch > per_epoch and shuffle not in ENDLESS):
                raise ValueError(
                    f"steps_per_epoch is {steps_per_epoch}, but these data have {per_epoch} "
                    "minibatches: give 1 to that many, and as many epochs as you like"
                )
            per_epoch = steps_per_epoch
        self.loop, self.size, self.shuffle, self.per_epoch = loop, size, shuffle, per_epoch
        self.length = per_epoch * size  # of an epoch, in rows
        if shuffle not in ENDLESS:
            self.length = min(self.length, len(x))
        self.array = array = tf.convert_to_tensor(x)
        # As even as can be: 601 minibatches are 7 x 86, not 6 x 100 and one more.
        most = most_minibatches(size * array.dtype.size * int(np.prod(x.shape[1:])))
        self.at_once = at_once or -(-per_epoch // -(-per_epoch // most))
        # Few sizes, however many data sets come, since XLA keeps a program for each.
        sizes = (size for size in SIZES if size >= self.at_once)
        self._room = at_once or next(sizes, self.at_once)

    def _epoch(self, before):
        """The rows of the epoch that begins after `before` examples."""
        n = len(self.array)
        return _orders.rows(self.loop.model.seed, before, n, self.length, self.shuffle)

    def parts(self) -> tf.data.Dataset:
        """Where each part of an epoch begins and ends, in its rows, epoch after epoch."""
        begins = np.arange(0, self.length, self.at_once * self.size)
        ends = np.minimum(begins + self.at_once * self.size, self.length)
        parts = tf.data.Dataset.from_tensor_slices((begins, ends))
        return parts.repeat().with_options(_calm())

    def __call__(self, iterator: Iterator) -> Any:
        """Learn from the next part: the metrics."""
        begin, end = (int(number) for number in next(iterator))
        if begin == 0:  # of an epoch; a callback may have restored a model until now
            self._rows = self._epoch(self.loop.model.examples_seen).numpy()
        return self.loop(self.array, self._rows[begin:end], self.size, self._room)

    @contextlib.contextmanager
    def under_way(self) -> Iterator[None]:
        """With this as the train function of the model, which Keras then leaves as it is."""
        model = self.loop.model
        model.make_train_function()  # where there was none, what is compiled is out of date
        of_streams, model.train_function = model.train_function, self
        try:
            with executing(model, self.at_once):
                yield
        finally:
            if model.train_function is self:  # else a callback has compiled the model anew
                model.train_function = of_streams

    def minibatches(self, seen: Callable[[], tf.Tensor]) -> tf.data.Dataset:
        """The minibatches of one epoch after the other, without end; `seen`: examples, by now."""

        def epoch(before):
            return tf.data.Dataset.from_tensor_slices(self._epoch(before)).batch(self.size)

        # The counter is read only once a callback has restored a model.
        begin = tf.data.Dataset.from_tensors(0).map(lambda _: seen())
        starts = begin.flat_map(lambda start: tf.data.Dataset.range(start, 2**62, self.length))
        rows = starts.flat_map(epoch).prefetch(1).with_options(_calm())
        return rows.map(lambda rows: self.loop.model.minibatch(self.array, rows))


@contextlib.contextmanager
def executing(model: Any, minibatches: int) -> Iterator[None]:
    """With so many as its `steps_per_execution`."""
    before, model.steps_per_execution = model.steps_per_execution, minibatches
    try:
        yield
    finally:
        model.steps_per_execution = before


def most_minibatches(minibatch: int) -> int:
    """How many minibatches of so many bytes one call of the compiled program runs at most.

    No more than `MOST_BYTES`, which lie in memory together. On a GPU, where the host's part of a
    call takes as long as many steps, it runs more of them.
    """
    most = MOST_ON_GPU if _programs.on_gpu() else MOST_MINIBATCHES
    return max(1, min(most, MOST_BYTES // minibatch))


def _calm():
    options = tf.data.Options()
    options.autotune.enabled = False  # its thread would hold up the end of `fit` for seconds
    return options
