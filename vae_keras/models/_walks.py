"""`fit` on an array: the rows of each epoch, and many minibatches in one compiled program."""

import contextlib
import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tensorflow as tf

from vae_keras import _orders, _programs
from vae_keras._orders import ENDLESS
from vae_keras.typing import Data

MOST_MINIBATCHES = 100  # in one call of the compiled program
MOST_ON_GPU = 1000  # the same on a GPU
MOST_BYTES = 2**28  # of them together, while as many are gathered for the next call
SIZES = (1, 2, 4, 8, 16, 32, 64, MOST_MINIBATCHES)  # numbers that it is compiled for
MOST_PARTIAL_SIZES = 4  # sizes of last minibatches to compile for; others run without XLA


class Loop:
    """Runs a model's `train_step` on successive minibatches; compiles at the first call.

    The model keeps it, so that all calls of `fit` share the compiled programs.
    """

    def __init__(self, model: Any):
        self.model = model
        self.forget()

    def forget(self) -> None:
        """Drop the compiled programs."""
        self._programs: Any = None
        self._traced: dict[tuple, Any] = {}
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
        # Without autograph, as in Keras: rewriting the code takes longer than tracing it.
        by_xla = tf.function(many, jit_compile=model.jit_compile, autograph=False)
        return by_xla, tf.function(model.train_step, reduce_retracing=True, autograph=False)

    @property
    def _fixed_sizes(self):
        """Whether a program is for minibatches of one size: XLA's are, and those of a GPU."""
        return self.model.jit_compile or _programs.on_gpu()

    def gathered(self, array: tf.Tensor, rows: np.ndarray, size: int, room: int) -> list[tuple]:
        """These rows in minibatches of `size`, to call with; the last may be smaller.

        The program is compiled for `room` minibatches, at least the number of whole ones.
        """
        minibatch, sizes = self.model.minibatch, self._partial_sizes
        stacks: list[tuple] = []
        full, partial = divmod(len(rows), size)
        if full:
            whole = rows[: full * size].reshape(full, size)
            stack = minibatch(array, whole if full == room else np.resize(whole, (room, size)))
            stacks.append((stack, full))
        rest = rows[full * size :]
        if partial and self._fixed_sizes and len(sizes | {partial}) > MOST_PARTIAL_SIZES:
            stacks.append((minibatch(array, rest), None))
        elif partial:
            sizes.add(partial)
            stacks.append((minibatch(array, rest[None]), 1))
        return stacks

    def __call__(self, stacks: list[tuple]) -> Any:
        """Train on what `gathered` returned, and return the metrics."""
        for stack, minibatches in stacks:
            many, one = self._programs = self._programs or self._compile()
            logs = one(stack) if minibatches is None else self._many(many, stack, minibatches)
        return logs

    def _many(self, many, stack, minibatches):
        parts = tf.nest.flatten(stack)
        # If the loop's length is known, a GPU need not wait for the host after each step.
        known = _programs.on_gpu() and minibatches == len(parts[0])
        length = minibatches if known else tf.constant(minibatches)
        if self.model.run_eagerly or tf.config.functions_run_eagerly():
            return many(stack, length)
        # Kept here too, since a tf.function takes half a millisecond to find what it has traced.
        of_any = 0 if self._fixed_sizes else 2  # leading axes of any size: traced once for all
        key = known and minibatches, *((x.dtype, *x.shape[of_any:]) for x in parts)
        if key not in self._traced:
            like = tf.nest.map_structure(
                lambda x: tf.TensorSpec((*of_any * [None], *x.shape[of_any:]), x.dtype), stack
            )
            self._traced[key] = many.get_concrete_function(like, length)
        return self._traced[key](stack, length)


class Walk:
    """One `fit` on an array x, (N, *input), M = `size` datapoints at a time.

    `shuffle`, `epochs` and `steps_per_epoch` are as in `Trainer.fit`. `at_once`: minibatches per
    call of the program; None: chosen here. `ahead`: whether a thread may gather the minibatches of
    the next call. It may not where they are drawn: the order of draws must not depend on threads.

    With several devices, Keras iterates over the minibatches. With one, the walk is the model's
    train function: each call trains on the next part of an epoch, and the stream that Keras
    iterates over holds nothing.
    """

    logs: Any = None  # what the last call returned
    _ahead: Any = None  # what the calls train on,
    _next: Any = None  # and the next of it, once a thread has prepared it

    def __init__(
        self,
        loop: Loop,
        x: Data,
        size: int,
        shuffle: bool | str,
        epochs: int,
        steps_per_epoch: int | None,
        at_once: int | None,
        ahead: bool,
    ):
        per_epoch = -(-len(x) // size)
        if steps_per_epoch is not None:
            if steps_per_epoch < 1 or (steps_per_epoch > per_epoch and shuffle not in ENDLESS):
                raise ValueError(
                    f"steps_per_epoch is {steps_per_epoch}, but these data have {per_epoch} "
                    f"minibatches: give 1 to {per_epoch}, and more epochs if needed"
                )
            per_epoch = steps_per_epoch
        self.loop, self.size, self.shuffle, self.ahead = loop, size, shuffle, ahead
        self.per_epoch, self._epochs = per_epoch, epochs  # at most, of those to come
        self.length = per_epoch * size  # rows per epoch
        if shuffle not in ENDLESS:
            self.length = min(self.length, len(x))
        self.array = array = tf.convert_to_tensor(x)
        # As even as possible: 601 minibatches are 7 x 86, not 6 x 100 and one more.
        most = most_minibatches(size * array.dtype.size * int(np.prod(x.shape[1:])))
        self.at_once = at_once or -(-per_epoch // -(-per_epoch // most))
        # Few sizes for any number of data sets, since XLA keeps a program for each.
        sizes = (size for size in SIZES if size >= self.at_once)
        self._room = at_once or next(sizes, self.at_once)
        self._per_call = self.at_once * size  # rows
        self._begins = itertools.cycle(range(0, self.length, self._per_call))
        self._expected = -1  # examples seen when the prepared epoch begins

    def _epoch(self, before):
        """The rows of the epoch that begins after `before` examples."""
        seed, n = self.loop.model.seed, len(self.array)
        with tf.device("CPU"):  # a GPU would draw them after all that it has to do
            return _orders.rows(seed, before, n, self.length, self.shuffle)

    def _parts(self, before, epochs):
        """What each call trains on, for a thread to prepare during the call before."""
        rows = self._threads.submit(self._epoch, before)
        for left in reversed(range(epochs)):
            drawn = rows.result().numpy()
            before += self.length
            if left:  # an epoch ahead, since a part may take less time than drawing an order
                rows = self._threads.submit(self._epoch, before)
            for begin in range(0, self.length, self._per_call):
                part = drawn[begin : begin + self._per_call]
                if self.ahead:
                    with tf.device(self.array.device):  # the caller's scope is not the thread's
                        part = self._gathered(part)
                yield part

    def _gathered(self, rows):
        return self.loop.gathered(self.array, rows, self.size, self._room)

    def __call__(self, iterator: Iterator) -> Any:
        """Train on the next part of the epoch and return the metrics."""
        if next(self._begins) == 0:
            seen = self.loop.model.examples_seen
            if seen != self._expected:  # the first epoch; or a callback restored a model
                self._ahead = self._parts(seen, self._epochs)
                self._next = self._threads.submit(next, self._ahead)
            self._epochs -= 1
            self._expected = seen + self.length
        part = self._next.result()
        self._next = self._threads.submit(next, self._ahead, None)
        self.logs = self.loop(part if self.ahead else self._gathered(part))
        return self.logs

    @contextlib.contextmanager
    def stream(self, devices: int) -> Iterator[tf.data.Dataset]:
        """A context with the stream to give Keras; with one device, it trains by this walk."""
        model = self.loop.model
        if devices > 1:  # Keras divides a stream's minibatches between them
            yield self._minibatches(model._examples_seen.value.read_value)
            return
        model.make_train_function()  # drops outdated programs
        of_streams, model.train_function = model.train_function, self
        try:
            with executing(model, self.at_once), ThreadPoolExecutor(2) as self._threads:
                yield tf.data.Dataset.from_tensors(0).repeat().with_options(_calm())
        finally:
            self._ahead = self._next = None  # or the data would wait for the garbage collector
            if model.train_function is self:  # else a callback has recompiled the model
                model.train_function = of_streams

    def _minibatches(self, seen):
        """The minibatches of successive epochs, endlessly; `seen`: the examples seen so far."""

        def epoch(before):
            return tf.data.Dataset.from_tensor_slices(self._epoch(before)).batch(self.size)

        # Reads the counter late, after a callback may have restored a model.
        begin = tf.data.Dataset.from_tensors(0).map(lambda _: seen())
        starts = begin.flat_map(lambda start: tf.data.Dataset.range(start, 2**62, self.length))
        rows = starts.flat_map(epoch).prefetch(1).with_options(_calm())
        return rows.map(lambda rows: self.loop.model.minibatch(self.array, rows))


@contextlib.contextmanager
def executing(model: Any, minibatches: int) -> Iterator[None]:
    """A context in which `minibatches` is the model's `steps_per_execution`."""
    before, model.steps_per_execution = model.steps_per_execution, minibatches
    try:
        yield
    finally:
        model.steps_per_execution = before


def most_minibatches(minibatch: int) -> int:
    """The most minibatches, of `minibatch` bytes each, in one call of the compiled program.

    Together at most `MOST_BYTES`, since they are in memory together. On a GPU there are more of
    them, since the host's part of a call takes as long as many steps.
    """
    most = MOST_ON_GPU if _programs.on_gpu() else MOST_MINIBATCHES
    return max(1, min(most, MOST_BYTES // minibatch))


def _calm():
    options = tf.data.Options()
    options.autotune.enabled = False  # its thread would delay the end of `fit` by seconds
    return options
