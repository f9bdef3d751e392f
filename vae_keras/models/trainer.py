"""`fit` at the machine's speed, inherited by every model of the kit.

At M = 100 the arithmetic of a minibatch takes a few milliseconds, and what a usual `fit` does
around it as long again. So for an array, `fit` passes the row numbers of many minibatches at a time
to one compiled program, which holds the data set, gathers each minibatch and runs `train_step`.
"""

import contextlib

import keras
import numpy as np
import tensorflow as tf

from vae_keras import checks
from vae_keras.callbacks import FiniteBound, set_modes

BATCH_SIZE = 100  # M
EVALUATION_BATCH_SIZE = 1000
MOST_MINIBATCHES = 100  # in one call of the compiled program


class Trainer(keras.Model):
    """A Keras model that learns from x alone, with a `train_step` of one minibatch x.

    A subclass has `train_step`, `test_step` and `build`, which sets `event_shape`, the shape of one
    datapoint, `unit_interval`, whether its values must lie in [0, 1], or which of them, and
    `pixels`, whether uint8 values are pixels. `evaluations` says how often `train_step` evaluates
    log p(x|z) for each datapoint that it visits.
    """

    evaluations = 1

    def __init__(self, seed: int, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed
        # Both counters are weights, so they are saved: a loaded model goes on with fresh noise.
        self._draws = self._counter("noise_draws")
        self._visits = self._counter("visits")
        self._array = None  # what `fit` walks over, while it does
        self._train_functions = {}

    def _counter(self, name):
        return self.add_weight(name=name, dtype="int64", initializer="zeros", trainable=False)

    @property
    def samples(self) -> int:
        """Training samples evaluated so far, in all calls of `fit`: visits times `evaluations`."""
        return self.visits * self.evaluations

    @property
    def visits(self) -> int:
        """Datapoints visited so far, each as often as it was."""
        return int(self._visits.numpy())

    def count_visits(self, x: tf.Tensor) -> None:
        """Count the datapoints of a minibatch x: for a `train_step` to call."""
        self._visits.assign_add(tf.shape(x, out_type=tf.int64)[0])

    def minibatch(self, x: tf.Tensor, rows: tf.Tensor):
        """What `fit` on an array passes to `train_step`: the datapoints in these rows of it."""
        return tf.gather(x, rows)

    def noise_seed(self) -> tf.Tensor:
        """A seed for TFP that has not been used before, (2,)."""
        self._draws.assign_add(1)
        return tf.stack([tf.constant(self.seed, tf.int32), tf.cast(self._draws, tf.int32)])

    # ---------------------------------------------------------------------- compiling

    def compile(
        self,
        optimizer=None,
        *,
        loss=None,
        metrics=None,
        steps_per_execution: int | str = "auto",
        jit_compile: bool = True,
        **kwargs,
    ):
        """As in Keras; the optimiser is by default the paper's Adagrad, step size 0.02.

        `jit_compile`: by XLA, also on a CPU; False for networks that XLA cannot compile.
        `steps_per_execution`: "auto" lets `fit` on an array run up to 100 minibatches at a time, so
        that batch-level callbacks are called that seldom; everything else runs one at a time.
        Raises ValueError for `loss` and `metrics`: the loss is the negative bound.
        """
        if loss is not None or metrics is not None:
            raise ValueError(
                "the loss is the negative lower bound and the metrics are the bound's terms: call "
                "compile() without `loss` and `metrics`"
            )
        self._minibatches = None if steps_per_execution == "auto" else steps_per_execution
        super().compile(
            optimizer=keras.optimizers.Adagrad(0.02) if optimizer is None else optimizer,
            steps_per_execution=self._minibatches or 1,
            jit_compile=jit_compile and not kwargs.get("run_eagerly"),
            **kwargs,
        )

    def get_compile_config(self):
        """What `compile` was called with."""
        return {
            "optimizer": keras.saving.serialize_keras_object(self.optimizer),
            "run_eagerly": self.run_eagerly,
            "steps_per_execution": self._minibatches or "auto",
            "jit_compile": self.jit_compile,
        }

    def compile_from_config(self, config):
        """Compile as `get_compile_config` described, the optimiser ready to be loaded."""
        optimizer = keras.saving.deserialize_keras_object(config["optimizer"])
        self.compile(**config | {"optimizer": optimizer})
        if self.built:
            optimizer.build(self.trainable_variables)

    @contextlib.contextmanager
    def _executing(self, minibatches):
        before, self.steps_per_execution = self.steps_per_execution, minibatches
        try:
            yield
        finally:
            self.steps_per_execution = before

    # ------------------------------------------------------------------------ training

    def fit(
        self,
        x=None,
        y=None,
        batch_size: int | None = None,
        *,
        callbacks=None,
        validation_split: float = 0.0,
        validation_data=None,
        shuffle: bool = True,
        steps_per_epoch: int | None = None,
        **kwargs,
    ):
        """As in Keras, with batch_size M = 100 for arrays. Targets y are ignored.

        An array's rows are shuffled anew in each epoch, by `seed` and `visits` alone; with
        `steps_per_epoch` an epoch ends after so many minibatches.

        Raises ValueError for data that the model cannot read, before training, and
        `NonFiniteBoundError` when the bound turns NaN or infinite: the model then has the last
        weights with which it was finite.
        """
        if kwargs.get("sample_weight") is not None or kwargs.get("class_weight") is not None:
            raise ValueError("this model takes no sample_weight or class_weight: leave them out")
        x = self._checked(x)
        if isinstance(validation_data, list | tuple):
            validation_data = validation_data[0]  # its targets are ignored as well
        if validation_data is not None:
            validation_data = self._checked(validation_data)
        if validation_split and validation_data is None and hasattr(x, "shape"):
            x, validation_data = np.split(x, [int(len(x) * (1 - validation_split))])
        kwargs |= {"validation_data": validation_data, "callbacks": _guarded(callbacks)}
        size = batch_size or BATCH_SIZE
        if not hasattr(x, "shape"):  # Keras's own way; it warns of shuffling a tf.data stream
            shuffle = shuffle and not isinstance(x, tf.data.Dataset)
            return super().fit(x, shuffle=shuffle, steps_per_epoch=steps_per_epoch, **kwargs)
        per_epoch = -(-len(x) // size)
        if steps_per_epoch is not None:
            if not 1 <= steps_per_epoch <= per_epoch:
                raise ValueError(
                    f"steps_per_epoch is {steps_per_epoch}, but these data have {per_epoch} "
                    "minibatches: give 1 to that many, and as many epochs as you like"
                )
            per_epoch = steps_per_epoch
        # As even as can be: 601 minibatches are 7 x 86, not 6 x 100 and one more.
        at_once = self._minibatches or -(-per_epoch // -(-per_epoch // MOST_MINIBATCHES))
        self._array = tf.convert_to_tensor(x)
        self._batch_size, self._at_once = size, at_once
        try:
            with self._executing(at_once):
                return super().fit(
                    self._rows(len(x), per_epoch * size, at_once * size, shuffle),
                    steps_per_epoch=per_epoch,
                    shuffle=False,
                    **kwargs,
                )
        finally:
            self._array = None

    def _rows(self, n: int, per_epoch: int, at_once: int, shuffle: bool) -> tf.data.Dataset:
        """The row numbers of one epoch after the other, without end, `at_once` at a time."""
        per_epoch = min(n, per_epoch)

        def epoch(visits_before):
            rows = tf.range(n)
            if shuffle:  # the noise has seeds (seed, positive number)
                seed = tf.stack([tf.constant(self.seed, tf.int64), -1 - visits_before])
                rows = tf.random.experimental.stateless_shuffle(rows, seed)
            return tf.data.Dataset.from_tensor_slices(rows[:per_epoch]).batch(at_once)

        options = tf.data.Options()
        options.autotune.enabled = False  # its thread would hold up the end of `fit` for seconds
        starts = tf.data.Dataset.range(self.visits, 2**62, per_epoch)
        return starts.flat_map(epoch).prefetch(1).with_options(options)

    def make_train_function(self, force=False):
        """Keras's own for a stream of minibatches, `_walk` for the row numbers of an array."""
        if self.train_function is None or force:  # as `compile` leaves it
            self._train_functions = {}
        kind = "stream" if self._array is None else "array"
        if kind not in self._train_functions:
            self.train_function = None
            if kind == "stream":
                super().make_train_function(force)
            else:
                self.train_function = self._make_walk()
            self._train_functions[kind] = self.train_function
        self.train_function = self._train_functions[kind]

    def _make_walk(self):
        def walk(x, rows, minibatches):
            def one(k):
                self.train_step(self.minibatch(x, rows[k]))
                return (k + 1,)

            tf.while_loop(lambda k: k < minibatches, one, [tf.constant(0)])
            return self.get_metrics_result()

        if not self.run_eagerly:
            walk = tf.function(walk, jit_compile=self.jit_compile)

        def train_function(iterator):
            rows = next(iterator).numpy()
            size = self._batch_size
            full, partial = divmod(len(rows), size)
            if full:
                padded = np.resize(rows[: full * size], (self._at_once, size))
                logs = walk(self._array, padded, tf.constant(full))
            if partial:
                logs = walk(self._array, rows[None, full * size :], tf.constant(1))
            return logs

        return train_function

    # ------------------------------------------------------------- evaluation, data checks

    def evaluate(self, x=None, y=None, batch_size: int | None = None, **kwargs):
        """As in Keras, with batch_size 1000 for arrays: the mean bound and its terms."""
        # Within `fit`, Keras keeps a data set that counts `fit`'s minibatches an execution.
        if not kwargs.pop("_use_cached_eval_dataset", False):
            x = self._checked(x)
        size = (batch_size or EVALUATION_BATCH_SIZE) if hasattr(x, "shape") else None
        with self._executing(self._minibatches or 1):
            return super().evaluate(x, batch_size=size, **kwargs)

    def predict(self, x, batch_size: int | None = None, **kwargs):
        """As in Keras, with batch_size 1000 for arrays: what `call` gives for each datapoint."""
        x = self._checked(x)
        size = (batch_size or EVALUATION_BATCH_SIZE) if hasattr(x, "shape") else None
        return super().predict(x, size, **kwargs)

    def _checked(self, x):
        """`x` as an array or a stream that the model can read; else ValueError."""
        x = checks.one_input(x)
        if isinstance(x, tf.data.Dataset):
            self._build_for(checks.stream_input(x).shape)
            return checks.checked_stream(x, self.event_shape, self.unit_interval, self.pixels)
        if hasattr(x, "shape"):
            self._build_for(x.shape)
            checks.check_shape(x.shape, self.event_shape)
            checks.check_values(x, self.unit_interval, self.pixels)
        return x

    def _build_for(self, shape):
        if not self.built:
            self.build((None, *shape[1:]))


def _guarded(callbacks):
    set_modes(callbacks)
    if isinstance(callbacks, keras.callbacks.CallbackList):
        callbacks.append(FiniteBound())
        return callbacks
    if callbacks is None:
        callbacks = []
    return [FiniteBound(), *(callbacks if isinstance(callbacks, list | tuple) else [callbacks])]
