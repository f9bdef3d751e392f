"""`fit` at the machine's speed, inherited by every model of the kit.

At M = 100 the arithmetic of a minibatch takes a few milliseconds, and what a usual `fit` does
around it as long again. So from an array `fit` gathers many minibatches at a time and hands them to
one compiled program, which runs `train_step` on each.
"""

import contextlib
import inspect
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vae_keras import _checks, _noise, _orders, _philox, _programs, _streams
from vae_keras._orders import ENDLESS
from vae_keras.callbacks import FiniteBound, set_modes
from vae_keras.typing import Data, Minibatch, Rows, Seed

BATCH_SIZE = 100  # M
EVALUATION_BATCH_SIZE = 1000
MOST_MINIBATCHES = 100  # in one call of the compiled program
MOST_ON_GPU = 1000  # there
MOST_BYTES = 2**29  # of them together
SIZES = (1, 2, 4, 8, 16, 32, 64, MOST_MINIBATCHES)  # for so many it is compiled
MOST_PARTIAL_SIZES = 4  # of last minibatches that are compiled for; others do without XLA
DIVIDING = ("MirroredStrategy", "OneDeviceStrategy", "_DefaultDistributionStrategy")


class Trainer(keras.Model):
    """A Keras model that learns from x alone, with a `train_step` of one minibatch x.

    A subclass must implement:
        build(input_shape): make the weights; set `event_shape`, the shape of one datapoint,
            `unit_interval`, whether its values must lie in [0, 1], or which of them, `pixels`,
            whether uint8 values are pixels, and last `built`. Called twice, it does nothing.
        train_step(data): learn from a minibatch, whose x is `datapoints(data)`: differentiate
            `scaled(loss, x)`, apply the gradients with `optimizer`, call `count_examples(x)`, and
            return the metrics, `loss` among them. All in TensorFlow, since XLA compiles it; any
            noise from `noise_seed(training=True)`.
        test_step(data): the same metrics of a minibatch, nothing learned; noise from
            `noise_seed()`.
        call(x): what `predict` gives for a minibatch, and what `export` exports.
        metrics: a property, the Keras metrics that an epoch resets.

    It may override:
        evaluations: how often `train_step` evaluates log p(x|z) for each datapoint that it visits.
        density_check: what refuses data for which log p(x|z) is not defined.
        divisible: whether the devices of a `tf.distribute.MirroredStrategy` may share a minibatch.
        minibatch(x, rows): what `fit` on an array hands to `train_step`.
        get_config, from_config: as in Keras, with what `__init__` takes.

    It inherits:
        compile, fit, evaluate, predict, export: as in Keras, data checked, arrays at full speed.
        noise_seed, scaled, count_examples: for the steps to call.
        examples_seen, samples_evaluated: how far training has come; saved with the model, as is
            the noise.
        set_evaluation_noise: to measure the same twice.
        forget_programs: for a change that no compiled program can see.

    Raises ValueError for a seed that is no non-negative integer.
    """

    evaluations = 1
    divisible = True
    built: bool  # as Keras has them
    train_function: Any

    def __init__(self, seed: int, **kwargs: Any):
        super().__init__(**kwargs)
        _noise.words(seed)  # refuses one that names no stream
        self.seed = seed
        # The counters are weights, so they are saved: a loaded model goes on with fresh noise.
        # Evaluation has one of its own, so that looking does not change what is learned.
        self._draws = self._counter("noise_draws", "only_first_replica")
        self._evaluation_draws = self._counter("evaluation_draws", "only_first_replica")
        self._examples_seen = self._counter("examples_seen", "sum")
        self._array = None  # what `fit` walks over, while it does
        self._minibatches: int | None = None
        self._train_functions: dict[str, Any] = {}

    def _counter(self, name, aggregation):
        return self.add_weight(
            name=name, dtype="int64", initializer="zeros", trainable=False, aggregation=aggregation
        )

    @property
    def samples_evaluated(self) -> int:
        """Training samples evaluated so far: `examples_seen` times `evaluations`."""
        return self.examples_seen * self.evaluations

    @property
    def examples_seen(self) -> int:
        """Datapoints of all minibatches so far, in all calls of `fit`."""
        return int(self._examples_seen.numpy())

    def count_examples(self, x: Minibatch) -> None:
        """Count the datapoints of a minibatch x: for a `train_step` to call."""
        # Keras's own assign_add would, with several devices, add up what they had counted before.
        self._examples_seen.value.assign_add(tf.shape(x, out_type=tf.int64)[0])

    def density_check(self) -> Callable[[Data], None] | None:
        """What raises ValueError for data that have no density, whatever their shape; or None."""
        return None

    def minibatch(self, x: Data, rows: Rows) -> Any:
        """What `fit` on an array passes to `train_step`: the datapoints in these rows of it."""
        return tf.gather(x, rows)

    def noise_seed(self, training: bool = False) -> Seed:
        """A seed for TFP, (2,), that has not been used before, for `training` or for evaluation.

        Each device that shares a minibatch has one of its own.
        """
        counter = self._draws if training else self._evaluation_draws
        counter.assign_add(1)
        number, device = tf.convert_to_tensor(counter), _replica()
        kind = 0 if training else 1
        if device is None:
            return _noise.at(self.seed, number, branch=kind)
        # A branch each, of which the first is that of one device alone.
        n = device.num_replicas_in_sync
        seeds = [_noise.at(self.seed, number, branch=2 * d + kind) for d in range(n)]
        return tf.gather(tf.stack(seeds), device.replica_id_in_sync_group)

    def set_evaluation_noise(self, number: int) -> None:
        """Let the noise of evaluation go on from its draw `number`: to measure the same twice."""
        self._evaluation_draws.assign(number)

    def scaled(self, loss: tf.Tensor, x: Minibatch) -> tf.Tensor:
        """What a `train_step` differentiates, of the mean loss of a minibatch x.

        With several devices x is a part of it and counts by its share of the datapoints, since the
        optimiser adds up their gradients; and float16 needs the optimiser's scale.
        """
        if device := _replica():
            n = tf.cast(tf.shape(x)[0], loss.dtype)
            loss *= n / device.all_reduce(tf.distribute.ReduceOp.SUM, n)
        return self.optimizer.scale_loss(loss)

    # ---------------------------------------------------------------------- compiling

    def compile(
        self,
        optimizer: str | keras.Optimizer | None = None,
        *,
        loss: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        steps_per_execution: int | str = "auto",
        jit_compile: bool | str = "auto",
        **kwargs: Any,
    ) -> None:
        """As in Keras; the optimiser is by default the paper's Adagrad, step size 0.02.

        `jit_compile`: "auto" compiles by XLA, also on a CPU, unless several devices share the work
        or there are convolutions on a CPU; False for networks that XLA cannot compile.
        `steps_per_execution`: "auto" lets `fit` on an array run up to 100 minibatches at a time,
        1,000 on a GPU, so that batch-level callbacks are called that seldom; everything else runs
        one at a time.
        Forgets what was compiled before (`forget_programs`). Raises ValueError for `loss` and
        metrics: the loss is the negative bound; and for devices that cannot share the work.
        """
        if not loss is metrics is weighted_metrics is None:
            raise ValueError(
                "the loss is the negative lower bound and the metrics are the bound's terms: call "
                "compile() without `loss`, `metrics` and `weighted_metrics`"
            )
        devices = self._check_devices()
        if jit_compile is True and devices > 1:
            raise ValueError(
                f"jit_compile is True, but XLA cannot compile what {devices} devices share: leave "
                "it at 'auto', or at False"
            )
        self._by_xla = jit_compile
        self._minibatches = None if steps_per_execution == "auto" else int(steps_per_execution)
        by_xla = jit_compile
        if jit_compile == "auto":
            by_xla = devices == 1 and _programs.suits_xla(self)
        super().compile(
            optimizer=keras.optimizers.Adagrad(0.02) if optimizer is None else optimizer,
            steps_per_execution=self._minibatches or 1,
            jit_compile=bool(by_xla) and not kwargs.get("run_eagerly"),
            **kwargs,
        )
        _programs.forget(self)

    def forget_programs(self) -> None:
        """Drop what was compiled for the model, so that the next call traces it as it is now.

        `elbo`, `sample` and the estimators of log p(x) notice by themselves when an attribute of
        the model or of a layer was replaced; `fit`, `evaluate` and `predict`, as in Keras, do not.
        A change that lies deeper, as within an object that a layer holds, none of them can see.
        """
        _programs.forget(self)
        self._train_functions = {}
        self.train_function = self.test_function = self.predict_function = None

    def _check_devices(self) -> int:
        """How many devices share a minibatch; ValueError for a way of sharing that is not ours."""
        if keras.distribution.distribution() is not None:
            raise ValueError(
                "keras.distribution does not divide the work of TensorFlow: call "
                "keras.distribution.set_distribution(None) and make the model in the scope of a "
                "tf.distribute.MirroredStrategy"
            )
        strategy = self.distribute_strategy
        devices = strategy.num_replicas_in_sync
        if type(strategy).__name__ not in DIVIDING:
            raise ValueError(
                f"{type(strategy).__name__} is not supported: make the model in the scope of a "
                "tf.distribute.MirroredStrategy, or of none"
            )
        if devices > 1 and not self.divisible:
            raise ValueError(
                f"{type(self).__name__} learns on one device, but here are {devices}: make it "
                "outside the strategy's scope"
            )
        if devices > 1 and self._distribute_strategy is None:
            raise ValueError(
                f"the model was made outside the scope of this strategy of {devices} devices: make "
                "it inside"
            )
        return devices

    def get_compile_config(self) -> dict[str, Any] | None:
        """What `compile` was called with; None before it was."""
        if not self.compiled:
            return None
        self._build_optimizer()  # it is saved with its state, which a loaded one looks for
        return {
            "optimizer": keras.saving.serialize_keras_object(self.optimizer),
            "run_eagerly": self.run_eagerly,
            "steps_per_execution": self._minibatches or "auto",
            "jit_compile": self._by_xla,
        }

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as `get_compile_config` described, the optimiser ready to be loaded."""
        optimizer = keras.saving.deserialize_keras_object(config["optimizer"])
        self.compile(**config | {"optimizer": optimizer})
        self._build_optimizer()

    def _build_optimizer(self):
        # In time for what restores or keeps its state: loading, BackupAndRestore, FiniteBound.
        if self.built and not self.optimizer.built:
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)

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
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        *,
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool | str = True,
        steps_per_epoch: int | None = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """As in Keras, with batch_size M = 100 for arrays. Targets y are ignored.

        An array's rows are shuffled anew in each epoch, by `seed` and `examples_seen` alone;
        with `steps_per_epoch` an epoch ends after so many minibatches. Two more values of `shuffle`
        make one order without end, all of whole minibatches, that goes on after `examples_seen`
        rows, however it is divided into epochs or calls of `fit`: "replacement", each row drawn by
        itself, so that one may come twice and another not at all; "passes", pass after pass.

        Raises ValueError for data that the model cannot read, before training, and
        `NonFiniteBoundError` when the bound turns NaN or infinite: the model then has the last
        weights with which it was finite.
        """
        self._check_compiled("fit")
        _check_unweighted(**kwargs)
        devices = self._check_devices()
        size = _checks.count("batch_size", BATCH_SIZE if batch_size is None else batch_size)
        x = self._checked(x)
        if not 0 <= validation_split < 1:
            raise ValueError(
                f"validation_split is {validation_split}, but must be at least 0 and below 1"
            )
        if validation_split and not hasattr(x, "shape"):
            raise ValueError(
                "validation_split divides arrays only: give a stream's validation_data apart"
            )
        if validation_data is not None:
            validation_data = self._checked(self._without_targets(validation_data))
        elif validation_split:
            n_train = len(x) - held_out(x, validation_split)
            if n_train in (0, len(x)):
                raise ValueError(
                    f"validation_split is {validation_split}, which divides {len(x)} datapoints "
                    f"into {n_train} and {len(x) - n_train}: leave some for both"
                )
            x, validation_data = np.split(x, [n_train])
        self._build_optimizer()
        kwargs |= {"validation_data": validation_data, "callbacks": _guarded(callbacks, self)}
        if shuffle not in (True, False, *ENDLESS):
            raise ValueError(f"shuffle is {shuffle!r}: True, False or one of {', '.join(ENDLESS)}")
        if not hasattr(x, "shape"):  # Keras's own way; it warns of shuffling what it cannot
            if shuffle in ENDLESS:
                raise ValueError(f"shuffle={shuffle!r} is an order of an array's rows: give one")
            shuffle = shuffle and isinstance(x, keras.utils.PyDataset)
            before = self.examples_seen
            with _streams.refusals():
                history = super().fit(x, shuffle=shuffle, steps_per_epoch=steps_per_epoch, **kwargs)
            if self.examples_seen == before:
                raise ValueError(_checks.EMPTY)
            return history
        per_epoch = -(-len(x) // size)
        if steps_per_epoch is not None:
            if steps_per_epoch < 1 or (steps_per_epoch > per_epoch and shuffle not in ENDLESS):
                raise ValueError(
                    f"steps_per_epoch is {steps_per_epoch}, but these data have {per_epoch} "
                    "minibatches: give 1 to that many, and as many epochs as you like"
                )
            per_epoch = steps_per_epoch
        length = per_epoch * size  # of an epoch, in rows
        if shuffle not in ENDLESS:
            length = min(length, len(x))
        array = tf.convert_to_tensor(x)
        kwargs |= {"steps_per_epoch": per_epoch, "shuffle": False}
        if devices > 1:  # Keras divides each minibatch of a stream
            rows = self._stream_of_rows(len(x), length, size, shuffle)
            with _streams.refusals():  # of validation data
                return super().fit(rows.map(lambda rows: self.minibatch(array, rows)), **kwargs)
        # As even as can be: 601 minibatches are 7 x 86, not 6 x 100 and one more.
        most = most_minibatches(size * array.dtype.size * int(np.prod(x.shape[1:])))
        at_once = self._minibatches or -(-per_epoch // -(-per_epoch // most))
        self._array, self._batch_size, self._order = array, size, (len(x), length, shuffle)
        # Few sizes, however many data sets come, since XLA keeps a program for each.
        sizes = (size for size in SIZES if size >= at_once)
        self._at_once = self._minibatches or next(sizes, at_once)
        try:
            with self._executing(at_once), _streams.refusals():
                return super().fit(_parts(length, at_once * size), **kwargs)
        finally:
            self._array = None

    def _stream_of_rows(self, n, length, size, shuffle):
        """The row numbers of one epoch after the other, without end, `size` at a time."""

        def epoch(before):
            rows = _orders.rows(self.seed, before, n, length, shuffle)
            return tf.data.Dataset.from_tensor_slices(rows).batch(size)

        # The counter is read only once a callback has restored a model.
        begin = tf.data.Dataset.from_tensors(0).map(
            lambda _: self._examples_seen.value.read_value()
        )
        starts = begin.flat_map(lambda start: tf.data.Dataset.range(start, 2**62, length))
        return starts.flat_map(epoch).prefetch(1).with_options(_calm())

    def make_train_function(self, force: bool = False) -> None:
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

    def _make_function(self, step_function):
        # At the end of a stream Keras asks for one minibatch more; without this the counters of a
        # step that never comes would go on all the same.
        def step(data):
            come = [part for part in tf.nest.flatten(data) if part is not None]
            with tf.control_dependencies(come), self._vectors():
                return step_function(data)

        return super()._make_function(step)

    def _vectors(self):
        """What is traced in it draws by vectors where XLA compiles it for a CPU."""
        return _philox.vectorised(self.jit_compile and not _programs.on_gpu())

    def _make_walk(self):
        def walk(stack, minibatches):
            def one(k):
                with self._vectors():
                    self.train_step(tf.nest.map_structure(lambda x: x[k], stack))
                return (k + 1,)

            tf.while_loop(lambda k: k < minibatches, one, [tf.constant(0)])
            return self.get_metrics_result()

        step, sizes = self.train_step, set[int]()
        if not self.run_eagerly:
            walk = tf.function(walk, jit_compile=self.jit_compile)
            step = tf.function(step, reduce_retracing=True)

        def train_function(iterator):
            begin, end = (int(number) for number in next(iterator))
            if begin == 0:  # of an epoch; a callback may have restored a model until now
                self._epoch_rows = _orders.rows(self.seed, self.examples_seen, *self._order).numpy()
            rows, size = self._epoch_rows[begin:end], self._batch_size
            full, partial = divmod(len(rows), size)
            if full:
                padded = np.resize(rows[: full * size], (self._at_once, size))
                # A GPU need not tell the host after each step of a loop of known length to go on.
                known = _programs.on_gpu() and full == self._at_once
                minibatches = full if known else tf.constant(full)
                logs = walk(self.minibatch(self._array, padded), minibatches)
            if partial and (partial in sizes or len(sizes) < MOST_PARTIAL_SIZES):
                sizes.add(partial)
                logs = walk(self.minibatch(self._array, rows[None, full * size :]), tf.constant(1))
            elif partial:
                logs = step(self.minibatch(self._array, rows[full * size :]))
            return logs

        return train_function

    # ------------------------------------------------------------- evaluation, data checks

    def evaluate(
        self, x: Any = None, y: Any = None, batch_size: int | None = None, **kwargs: Any
    ) -> Any:
        """As in Keras, with batch_size 1000 for arrays: the mean bound and its terms."""
        self._check_compiled("evaluate")
        _check_unweighted(**kwargs)
        # Within `fit`, Keras keeps a data set that counts `fit`'s minibatches an execution.
        if not kwargs.pop("_use_cached_eval_dataset", False):
            self._check_devices()
            x = self._checked(x)
        with self._executing(self._minibatches or 1), _streams.refusals():
            return super().evaluate(x, batch_size=_evaluation_size(x, batch_size), **kwargs)

    def predict(self, x: Any, batch_size: int | None = None, **kwargs: Any) -> Any:
        """As in Keras, with batch_size 1000 for arrays: what `call` gives for each datapoint."""
        self._check_devices()
        x = self._checked(x)
        with _streams.refusals():
            return super().predict(x, _evaluation_size(x, batch_size), **kwargs)

    def train_on_batch(self, x: Any, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As in Keras, the data checked and the loss guarded as in `fit`."""
        self._check_compiled("train_on_batch")
        _check_unweighted(*args[:2], **kwargs)
        x = self._checked_array(x)
        self._build_optimizer()
        guard = FiniteBound()
        guard.set_model(self)
        guard.on_epoch_begin(0)
        logs = super().train_on_batch(x, y, *args, **kwargs)
        (loss,) = (metric.result() for metric in self.metrics if metric.name == "loss")
        guard.on_train_batch_end(0, {"loss": loss})
        guard.on_train_end()
        return logs

    def test_on_batch(self, x: Any, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As in Keras, the data checked."""
        self._check_compiled("test_on_batch")
        _check_unweighted(*args[:1], **kwargs)
        return super().test_on_batch(self._checked_array(x), y, *args, **kwargs)

    def predict_on_batch(self, x: Any) -> Any:
        """As in Keras, the data checked."""
        return super().predict_on_batch(self._checked_array(x))

    def save(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """As in Keras, in its own format alone: raises ValueError for HDF5."""
        if str(filepath).endswith((".h5", ".hdf5")):
            raise ValueError(f"{filepath} would be HDF5, which cannot hold this model: save .keras")
        super().save(filepath, *args, **kwargs)

    def export(self, filepath: str, format: str = "tf_saved_model", **kwargs: Any) -> Any:
        """As in Keras: `call` of a batch of float32 datapoints, of any size."""
        self(tf.zeros((1, *self.event_shape)))  # Keras exports only what has been called
        batch = keras.InputSpec(shape=(None, *self.event_shape), dtype="float32")
        return super().export(filepath, format, **{"input_signature": [batch]} | kwargs)

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Nothing: the model is built, and Keras would average the parts of a first minibatch."""

    def _check_compiled(self, method: str) -> None:
        if not self.compiled:
            raise ValueError(f"the model is not compiled: call compile() before {method}()")

    def _without_targets(self, data):
        """x of validation data x, (x, y) or [x, y]; a list of datapoints is x."""
        if isinstance(data, tuple):
            _check_unweighted(sample_weight=data[2] if len(data) > 2 else None)
            return data[0]
        if isinstance(data, list) and np.ndim(data[0]) == 1 + len(self.event_shape):
            return self._without_targets(tuple(data))
        return data

    def _checked(self, x):
        """`x` as an array or a stream that the model can read; else ValueError."""
        x = _checks.one_input(x)
        if isinstance(x, tf.data.Dataset):
            spec = x.element_spec
            _check_unweighted(*spec[2:3] if isinstance(spec, tuple) else ())
            shape = _checks.stream_input(x).shape
            if not self.built and None in (shape[1:] if shape.rank else [None]):
                shapes = x.map(lambda *batch: tf.shape(batch[0]))
                shape = tf.TensorShape(next(iter(shapes.take(1))).numpy())  # as Keras looks too
            self._build_for(shape)
            if shape.rank is not None and shape[1:].is_fully_defined():
                _checks.check_shape((shape[0], *shape[1:]), self.event_shape)
            return _streams.checked_dataset(x, self._check_values(), self.event_shape)
        if hasattr(x, "shape"):
            return self._checked_array(x)
        if isinstance(x, keras.utils.PyDataset):
            if not self.built:
                self._build_for(np.shape(keras.utils.unpack_x_y_sample_weight(x[0])[0]))
            return _streams.CheckedPyDataset(x, self._check_batch())
        if inspect.isgenerator(x):
            return _streams.checked_generator(x, self._check_batch())
        raise ValueError(
            f"the data are a {type(x).__name__}: give an array, a tf.data.Dataset, a "
            "keras.utils.PyDataset or a generator of minibatches"
        )

    def _check_batch(self):
        """What raises ValueError for a minibatch x, (x,) or (x, y) that the model cannot read."""
        check = None

        def look(batch):
            nonlocal check
            x, _, weights = keras.utils.unpack_x_y_sample_weight(batch)
            _check_unweighted(sample_weight=weights)
            x = _checks.one_input(x)
            self._build_for(x.shape)
            check = check or self._check_values()
            check(np.asarray(x))

        return look

    def _checked_array(self, x):
        """x, one array of datapoints that the model can read; else ValueError."""
        x = _checks.one_input(x)
        if not hasattr(x, "shape"):
            raise ValueError(f"the data are a {type(x).__name__}: give an array of datapoints")
        self._build_for(x.shape)
        self._check_values()(x)
        return x

    def __call__(self, x: Data, *args: Any, **kwargs: Any) -> Any:
        """`call` of x, which is checked as `fit` checks it."""
        return super().__call__(self._checked_values(x), *args, **kwargs)

    def _checked_values(self, x):
        """`x`, checked where it is there, and not to come in a program."""
        return self._checked_array(x) if _checks.has_values(x) else x

    def _check_values(self):
        """What raises ValueError for an array of datapoints that the model cannot read.

        Only of the first that it sees is uint8 doubted: one dark minibatch means nothing.
        """
        check_density, seen = self.density_check(), False

        def look(x):
            nonlocal seen
            _checks.check_shape(x.shape, self.event_shape)
            if not (seen and x.dtype == np.uint8 and self.pixels):
                _checks.check_values(x, self.unit_interval, self.pixels)
            if check_density is not None:
                check_density(x)
            seen = True

        return look

    def _build_for(self, shape):
        if not self.built:
            with self.distribute_strategy.scope():
                self.build((None, *shape[1:]))


def held_out(x: Data, validation_split: float) -> int:
    """How many of the last rows of x `validation_split` leaves out of training."""
    return len(x) - int(len(x) * (1 - validation_split))


def _evaluation_size(x, batch_size):
    if batch_size is not None:
        batch_size = _checks.count("batch_size", batch_size)
    return (batch_size or EVALUATION_BATCH_SIZE) if hasattr(x, "shape") else None


def most_minibatches(minibatch: int) -> int:
    """How many minibatches of so many bytes one call of the compiled program runs at most.

    No more than `MOST_BYTES`, which lie in memory together. On a GPU, where the host's part of a
    call takes as long as many steps, it runs more of them.
    """
    most = MOST_ON_GPU if _programs.on_gpu() else MOST_MINIBATCHES
    return max(1, min(most, MOST_BYTES // minibatch))


def _parts(length: int, at_once: int) -> tf.data.Dataset:
    """Where each part of an epoch of `length` rows begins and ends, epoch after epoch."""
    begins = np.arange(0, length, at_once)
    parts = tf.data.Dataset.from_tensor_slices((begins, np.minimum(begins + at_once, length)))
    return parts.repeat().with_options(_calm())


def _calm():
    options = tf.data.Options()
    options.autotune.enabled = False  # its thread would hold up the end of `fit` for seconds
    return options


def _replica():
    """The context of one of several devices that share a minibatch; else None."""
    context = tf.distribute.get_replica_context()
    return context if context is not None and context.num_replicas_in_sync > 1 else None


def _check_unweighted(sample_weight=None, class_weight=None, **_):
    if sample_weight is not None or class_weight is not None:
        raise ValueError("this model takes no sample_weight or class_weight: leave them out")


def _guarded(callbacks, model):
    set_modes(callbacks)
    guard = FiniteBound()
    if isinstance(callbacks, keras.callbacks.CallbackList):
        guard.set_model(model)
        callbacks.callbacks.insert(0, guard)
        return callbacks
    if callbacks is None:
        callbacks = []
    return [guard, *(callbacks if isinstance(callbacks, list | tuple) else [callbacks])]
