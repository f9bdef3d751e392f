"""A fast `fit`, inherited by every model of the library.

At M = 100 the arithmetic of a minibatch takes a few milliseconds, and the overhead of Keras's `fit`
about as long again. For an array, this `fit` therefore gathers many minibatches at a time and
passes them to one compiled program, which runs `train_step` on each.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from vae_keras import _checks, _orders, _programs, _streams
from vae_keras.callbacks import guarded, guarding, read
from vae_keras.models import _inputs, _replicas, _walks
from vae_keras.typing import Data, Minibatch, Rows, Seed

BATCH_SIZE = 100  # M


class Trainer(keras.Model):
    """A Keras model that learns from x alone, by a `train_step` on one minibatch x.

    A subclass must implement:
        build(input_shape): create the weights; set `event_shape`, the shape of one datapoint,
            `unit_interval`, whether its values must lie in [0, 1] (or a mask of those that must),
            `pixels`, whether uint8 values are pixels, and last `built`. A second call does nothing.
        train_step(data): learn from a minibatch, whose x is `datapoints(data)`: differentiate
            `scaled(loss, x)`, apply the gradients with `optimizer`, call `count_examples(x)`, and
            return the metrics, including `loss`. Use TensorFlow only, since XLA compiles it, and
            take noise from `noise_seed(training=True)`.
        test_step(data): return the same metrics without learning; take noise from `noise_seed()`.
        call(x): the output of `predict` for a minibatch, and the function that `export` exports.
        metrics: a property, the Keras metrics that are reset each epoch.

    It may override:
        evaluations: how often `train_step` evaluates log p(x|z) per datapoint.
        density_check: a check that refuses data for which log p(x|z) is not defined.
        divisible: whether the devices of a `tf.distribute.MirroredStrategy` may share a minibatch.
        minibatch(x, rows): the data that `fit` on an array passes to `train_step`.
        get_config, from_config: as in Keras, with the arguments of `__init__`.

    It inherits:
        compile, fit, evaluate, predict, export: as in Keras; data are checked, arrays run fast.
        noise_seed, scaled, count_examples: for the steps to call.
        examples_seen, samples_evaluated: training progress, saved with the model, as is the state
            of the noise.
        set_evaluation_noise: to repeat a measurement with the same noise.
        forget_programs: to call after a change that no compiled program can detect.

    Raises:
        ValueError: for a seed that is not a non-negative integer.
    """

    evaluations = 1
    divisible = True
    built: bool  # set by Keras

    def __init__(self, seed: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.seed = _checks.count("the seed", seed, 0)
        # The counters are weights, so they are saved: a loaded model continues with fresh noise.
        # Evaluation has its own counter, so that evaluating does not change training.
        numbers = {"dtype": "int64", "initializer": "zeros", "trainable": False}
        draws = numbers | {"aggregation": "only_first_replica"}
        self._draws = self.add_weight(name="noise_draws", **draws)
        self._evaluation_draws = self.add_weight(name="evaluation_draws", **draws)
        self._examples_seen = self.add_weight(name="examples_seen", aggregation="sum", **numbers)
        self._minibatches: int | None = None
        self._loop = _walks.Loop(self)

    @property
    def samples_evaluated(self) -> int:
        """Training samples evaluated so far, the horizontal axis of the paper's figures 2 and 3.

        It is `examples_seen` times the evaluations of p(x|z) per datapoint: 1, but for
        `MonteCarloEM`. It is saved with the model.
        """
        return self.examples_seen * self.evaluations

    @property
    def examples_seen(self) -> int:
        """The number of datapoints in all minibatches so far, over all calls of `fit`.

        It is saved with the model.
        """
        return int(read(self._examples_seen))

    def count_examples(self, x: Minibatch) -> None:
        """Count the datapoints of a minibatch x; each `train_step` must call it."""
        # With several devices, Keras's own assign_add would also add up their earlier counts.
        self._examples_seen.value.assign_add(tf.shape(x, out_type=tf.int64)[0])

    def density_check(self) -> Callable[[Data], None] | None:
        """A check that raises ValueError for data without a density; None: all data have one."""
        return None

    def minibatch(self, x: Data, rows: Rows) -> Any:
        """The data that `fit` on an array x passes to `train_step`: its datapoints `rows`."""
        return tf.gather(x, rows)

    def noise_seed(self, training: bool = False) -> Seed:
        """A fresh TFP seed, (2,), for `training` or for evaluation.

        Devices that share a minibatch get different seeds.
        """
        counter = self._draws if training else self._evaluation_draws
        counter.assign_add(1)
        return _replicas.seed(self.seed, tf.convert_to_tensor(counter), training)

    def set_evaluation_noise(self, number: int) -> None:
        """Set where the noise of evaluation continues, to repeat a measurement exactly.

        `evaluate()`, `elbo()`, `sample()` and other measurements each use fresh noise. It depends
        on `seed` and on a counter of the draws so far. The noise of training has another counter.

        Args:
            number: the value of the counter, an integer of at least 0.

        >>> import numpy as np
        >>> from vae_keras import VAE, networks
        >>> vae = VAE(networks.gaussian_encoder(3, 8, 2), networks.bernoulli_decoder(2, 8, 3))
        >>> first = vae.sample(5)
        >>> vae.set_evaluation_noise(0)  # where the counter of a new model begins
        >>> np.array_equal(vae.sample(5), first)
        True
        """
        self._evaluation_draws.assign(number)

    def scaled(self, loss: tf.Tensor, x: Minibatch) -> tf.Tensor:
        """The mean loss of a minibatch x, scaled for a `train_step` to differentiate.

        With several devices, x is one device's part and is weighted by its share of the datapoints,
        since the optimiser adds up the gradients. float16 needs the optimiser's loss scale.
        """
        return self.optimizer.scale_loss(_replicas.weighed(loss, x))

    def compile(
        self,
        optimizer: str | keras.Optimizer | None = None,
        *,
        steps_per_execution: int | str = "auto",
        jit_compile: bool | str = "auto",
        **kwargs: Any,
    ) -> None:
        """Set the optimiser and how the steps are compiled, as in Keras.

        Drops earlier compiled programs, as `forget_programs()` does.

        Args:
            optimizer: as in Keras. Default: Keras's Adagrad, with one of the paper's rates, 0.02.
            steps_per_execution: minibatches per call of the compiled program. "auto": when `fit()`
                reads an array, up to 100, or 1,000 on a GPU; else 1. Batch-level callbacks run once
                per call.
            jit_compile: "auto" compiles with XLA, also on a CPU, unless several devices share the
                work or the model has convolutions on a CPU. Use False for networks that XLA cannot
                compile.
            kwargs: as in Keras, for example `run_eagerly`.

        Raises:
            ValueError: if `loss` or metrics are given (the loss is the negative bound), or for
                devices that cannot share the work.
        """
        _inputs.check_objective(**kwargs)
        by_xla = _replicas.by_xla(self, jit_compile)
        self._by_xla = jit_compile
        self._minibatches = None if steps_per_execution == "auto" else int(steps_per_execution)
        super().compile(
            optimizer=keras.optimizers.Adagrad(0.02) if optimizer is None else optimizer,
            steps_per_execution=self._minibatches or 1,
            jit_compile=by_xla and not kwargs.get("run_eagerly"),
            **kwargs,
        )
        _programs.forget(self)

    def forget_programs(self) -> None:
        """Drop the model's compiled programs, so that the next call traces the model afresh.

        `elbo`, `sample` and the estimators of log p(x) detect when an attribute of the model or of
        a layer was replaced; `fit`, `evaluate` and `predict`, as in Keras, do not. None of them can
        detect a deeper change, such as one within an object that a layer holds.
        """
        _programs.forget(self)
        self._loop.forget()
        self.train_function = self.test_function = self.predict_function = None

    def get_compile_config(self) -> dict[str, Any] | None:
        """The arguments of `compile`; None before it was called."""
        if not self.compiled:
            return None
        self._build_optimizer()  # loading expects the optimiser's saved state
        return {
            "optimizer": keras.saving.serialize_keras_object(self.optimizer),
            "run_eagerly": self.run_eagerly,
            "steps_per_execution": self._minibatches or "auto",
            "jit_compile": self._by_xla,
        }

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile from `get_compile_config`'s result, with an optimiser ready for loading."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self._build_optimizer()

    def _build_optimizer(self):
        # Needed before its state is restored or copied: loading, BackupAndRestore, FiniteBound.
        if self.built and not self.optimizer.built:
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool | str = True,
        *,
        steps_per_epoch: int | None = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Train on x, as in Keras. Targets y are ignored.

        Args:
            x: an array (N, *input), or a `tf.data.Dataset`, PyDataset or generator of minibatches.
            y: ignored.
            batch_size: M, for an array. Default: 100.
            epochs: the number of passes over x. Default: 1.
            verbose: 0: silent; 1: a progress bar; 2: one line per epoch. Default: Keras's "auto".
            callbacks: a list of Keras callbacks.
            validation_data: data like x, or (x, y). The metrics on them are measured after each
                epoch, and their names begin with `val_`.
            validation_split: the share of an array, from its end, to validate on and not to train
                on.
            shuffle: True: an array's rows come in a new order in each epoch, which depends only on
                `seed` and `examples_seen`. False: in their own order. "replacement" and "passes":
                see below.
            steps_per_epoch: the number of minibatches in an epoch. Default: all of them.
            kwargs: Keras's other arguments, for example `initial_epoch` and `validation_freq`,
                but not `sample_weight` and `class_weight`.

        Two values of `shuffle` give an endless order, in whole minibatches: "replacement" draws
        each row independently, so that a row may come twice or not at all; "passes" makes pass
        after pass. The order continues after `examples_seen` rows, however it is divided into
        epochs or calls of `fit`.

        Returns:
            Keras's `History`. Its `history` maps each metric to a list of one value per epoch, nats
            per datapoint.

        Raises:
            ValueError: before training, for data that the model cannot read.
            NonFiniteBoundError: if the bound becomes NaN or infinite. The model then has the last
                kept copy of the weights with which it was finite.

        >>> from vae_keras import VAE, datasets, networks
        >>> digits = datasets.load("mnist_5k")
        >>> vae = VAE(networks.gaussian_encoder(784, 50, 5), networks.bernoulli_decoder(5, 50, 784))
        >>> vae.compile()
        >>> fitted = vae.fit(digits.x_train, epochs=3, validation_data=digits.x_test, verbose=0)
        >>> print(round(fitted.history["val_elbo"][-1], -1), vae.examples_seen)  # nats
        -210.0 12000
        """
        _inputs.check_use(self, "fit", **kwargs)
        devices = _replicas.count(self)
        size = _checks.count("batch_size", BATCH_SIZE if batch_size is None else batch_size)
        x, validation_data = _inputs.divided(self, x, validation_split, validation_data)
        _orders.check(shuffle, of_array=hasattr(x, "shape"))
        self._build_optimizer()
        callbacks = guarded(callbacks, self)
        if hasattr(x, "shape"):
            ahead = getattr(self.minibatch, "__func__", None) is Trainer.minibatch
            walk = _walks.Walk(
                self._loop, x, size, shuffle, epochs, steps_per_epoch, self._minibatches, ahead
            )
            stream, shuffle, steps_per_epoch = walk.stream(devices), False, walk.per_epoch
        else:
            stream = _inputs.not_empty(self, x)
            shuffle = shuffle and isinstance(x, keras.utils.PyDataset)  # or Keras warns
        with stream as parts, _streams.refusals():
            return super().fit(
                parts,
                epochs=epochs,
                verbose=verbose,
                callbacks=callbacks,
                validation_data=validation_data,
                shuffle=shuffle,
                steps_per_epoch=steps_per_epoch,
                **kwargs,
            )

    def make_train_function(self, force: bool = False) -> None:
        """As in Keras, for streams; also drops outdated programs of `fit` on an array."""
        if self.train_function is None or force:  # None after `compile` or `quantize`
            self._loop.forget()
        if not isinstance(self.train_function, _walks.Walk):
            super().make_train_function(force)

    def _get_metrics_result_or_logs(self, logs):
        # The last part of an epoch has read the metrics already.
        walked = isinstance(self.train_function, _walks.Walk) and logs is self.train_function.logs
        return logs if walked else super()._get_metrics_result_or_logs(logs)

    def _make_function(self, step_function):
        # At the end of a stream Keras asks for one more minibatch. Without this dependency the
        # counters would advance for that missing step too.
        def step(data):
            come = [part for part in tf.nest.flatten(data) if part is not None]
            with tf.control_dependencies(come), _programs.vectorised(self.jit_compile):
                return step_function(data)

        return super()._make_function(step)

    def evaluate(
        self, x: Any = None, y: Any = None, batch_size: int | None = None, **kwargs: Any
    ) -> Any:
        """Measure the model's metrics on x, as in Keras.

        Args:
            x: as in `fit()`. Targets y are ignored.
            batch_size: for an array. Default: 1000.
            kwargs: as in Keras, for example `return_dict`, `verbose` and, for a stream, `steps`.

        Returns:
            The means over the datapoints, nats per datapoint: a list with `loss` first, or with
            `return_dict=True` a dict by the name of the metric.

        Raises:
            ValueError: for a model that is not compiled, and for data that the model cannot read.

        >>> import numpy as np
        >>> from vae_keras import VAE, networks
        >>> encoder = networks.gaussian_encoder(3, 8, 2, stddev=0.0)  # q(z|x) = N(0, I)
        >>> vae = VAE(encoder, networks.bernoulli_decoder(2, 8, 3, stddev=0.0))  # p(x_i) = 1/2
        >>> vae.compile()
        >>> found = vae.evaluate(np.ones((5, 3)), verbose=0, return_dict=True)
        >>> print(round(found["elbo"], 3), found["kl"])  # 3 log(1/2)
        -2.079 0.0
        """
        _inputs.check_use(self, "evaluate", **kwargs)
        # Within `fit`, Keras would cache a data set with `fit`'s steps_per_execution.
        if not kwargs.pop("_use_cached_eval_dataset", False):
            _replicas.count(self)
            x = _inputs.checked(self, x)
        with _walks.executing(self, self._minibatches or 1), _streams.refusals():
            return super().evaluate(x, batch_size=_inputs.batch_size(x, batch_size), **kwargs)

    def predict(self, x: Any, batch_size: int | None = None, **kwargs: Any) -> Any:
        """Compute `call(x)` of each datapoint, as in Keras. An `AutoEncoder` reconstructs x.

        Args:
            x: as in `fit()`.
            batch_size: for an array. Default: 1000.
            kwargs: as in Keras, for example `verbose`.

        Returns:
            NumPy, (N, *input) for the models of the library.

        Raises:
            ValueError: for data that the model cannot read.
        """
        _replicas.count(self)
        x = _inputs.checked(self, x)
        with _streams.refusals():
            return super().predict(x, _inputs.batch_size(x, batch_size), **kwargs)

    def train_on_batch(self, x: Any, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As in Keras, with the data checked, and the loss guarded.

        If the loss is not finite, the weights from before this call are restored. If those gave it,
        all later calls fail too: load weights that you saved.
        """
        _inputs.check_use(self, "train_on_batch", *args[:2], **kwargs)
        x = _inputs.checked_array(self, x)
        self._build_optimizer()
        with guarding(self):
            return super().train_on_batch(x, y, *args, **kwargs)

    def test_on_batch(self, x: Any, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As in Keras, with the data checked."""
        _inputs.check_use(self, "test_on_batch", *args[:1], **kwargs)
        return super().test_on_batch(_inputs.checked_array(self, x), y, *args, **kwargs)

    def predict_on_batch(self, x: Any) -> Any:
        """As in Keras, with the data checked."""
        return super().predict_on_batch(_inputs.checked_array(self, x))

    def save(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Save the model, its optimiser and its noise, as in Keras.

        `keras.saving.load_model` loads it, once `vae_keras` is imported.

        Args:
            filepath: a name that ends in .keras.
            args, kwargs: as in Keras, for example `overwrite`.

        Raises:
            ValueError: for HDF5, which cannot hold the model, and for a prior that cannot be saved.

        >>> import tempfile
        >>> from vae_keras import VAE, networks
        >>> import keras
        >>> import numpy as np
        >>> vae = VAE(networks.gaussian_encoder(3, 8, 2), networks.bernoulli_decoder(2, 8, 3))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     vae.save(f"{folder}/vae.keras")
        ...     loaded = keras.saving.load_model(f"{folder}/vae.keras")
        >>> np.array_equal(loaded.reconstruct(np.ones((1, 3))), vae.reconstruct(np.ones((1, 3))))
        True
        """
        if str(filepath).endswith((".h5", ".hdf5")):
            raise ValueError(
                f"{filepath} would be HDF5, which cannot hold this model: save as .keras"
            )
        super().save(filepath, *args, **kwargs)

    def export(self, filepath: str, format: str = "tf_saved_model", **kwargs: Any) -> Any:
        """Export `call` for float32 batches of any size, as in Keras.

        Args:
            filepath: the folder to write.
            format: as in Keras. Default: a TensorFlow SavedModel.
            kwargs: as in Keras.
        """
        # Keras exports only what has been called: traced here, since HMC is slow if run eagerly.
        tf.function(self).get_concrete_function(tf.TensorSpec((None, *self.event_shape)))
        batch = keras.InputSpec(shape=(None, *self.event_shape), dtype="float32")
        return super().export(filepath, format, **{"input_signature": [batch]} | kwargs)

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Do nothing: the model is built, and Keras would average the devices' first parts."""

    def __call__(self, x: Data, *args: Any, **kwargs: Any) -> Any:
        """Apply `call` to x, with the checks of `fit`."""
        return super().__call__(_inputs.checked_values(self, x), *args, **kwargs)
