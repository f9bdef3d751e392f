"""Keras callbacks that stop training on a bound that is not finite, or at a number of samples."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

__all__ = ["NonFiniteBoundError", "StopAtSamples"]  # `fit` itself uses the others

OBJECTIVES = {"elbo": "bound", "log_joint": "log p(x, z)"}  # metric -> its name in a progress bar
# Whether a metric is better high or low. An acceptance rate is neither: Keras asks for a mode.
_MODES = dict.fromkeys(("elbo", "reconstruction", "log_joint"), "max") | dict.fromkeys(
    ("loss", "kl", "kl_parameters", "weight_decay"), "min"
)


class NonFiniteBoundError(FloatingPointError):
    """The bound became NaN or infinite; the model's last good weights were restored.

    `fit` raises it. The message has the number of training samples at which this happened, that to
    which the model went back, and the learning rate.
    """


class FiniteBound(keras.callbacks.Callback):
    """Restore the last good weights and raise `NonFiniteBoundError` if the loss is not finite.

    The weights and the optimiser's state are copied at the start of each epoch and every `every`
    samples. A copy is good once the loss has been finite with it. `fit` always uses this callback.
    """

    def __init__(self, every: int = 60_000):
        super().__init__()
        self.every = every
        self._good: Any = None

    def _take(self):
        self._taken_at = self.model.samples_evaluated
        variables = [*self.model.variables, *self.model.optimizer.variables]
        return [(variable, read(variable)) for variable in variables]  # on its device

    def on_train_begin(self, logs: Any = None) -> None:
        self._good = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._candidate = self._take()  # the first one after callbacks may have restored a model
        self._good = self._good or self._candidate

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            self._give_up(f"the loss became {loss}")
        self._good = self._candidate
        if self.model.samples_evaluated - self._taken_at >= self.every:
            self._candidate = self._take()

    def on_train_end(self, logs: Any = None) -> None:
        # The last update comes after the last loss.
        if not all(np.all(np.isfinite(w.numpy())) for w in self.model.trainable_variables):
            self._give_up("the weights stopped being finite")

    def _give_up(self, what: str) -> None:
        samples = self.model.samples_evaluated
        for variable, value in self._good:
            variable.assign(value)
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        raise NonFiniteBoundError(
            f"{what} at {samples:,} training samples; the weights of "
            f"{self.model.samples_evaluated:,} samples were restored. Try a smaller learning rate "
            f"(now {rate:g}), or look for extreme values "
            "in the data"
        )


def read(variable: Any) -> tf.Tensor:
    """The value of a variable, by a single operation unless several devices have copies of it."""
    own = variable.value if isinstance(variable, keras.Variable) else variable
    if isinstance(own, tf.distribute.DistributedValues):
        return tf.identity(own)
    return tf.raw_ops.ReadVariableOp(resource=own.handle, dtype=own.dtype)


def _set_modes(callbacks: Any) -> None:
    """Set the mode, "min" or "max", of Keras callbacks that monitor a metric in mode "auto".

    Keras itself infers the mode only of metrics that are given to `compile`.
    """
    for callback in keras.tree.flatten(getattr(callbacks, "callbacks", callbacks)):
        metric = str(getattr(callback, "monitor", None)).removeprefix("val_")
        if getattr(callback, "mode", None) == "auto" and metric in _MODES:
            callback.mode = _MODES[metric]


def guarded(callbacks: Any, model: Any) -> Any:
    """The `callbacks` of `fit`, with their modes set, after a `FiniteBound`."""
    _set_modes(callbacks)
    guard = FiniteBound()
    if isinstance(callbacks, keras.callbacks.CallbackList):
        guard.set_model(model)
        callbacks.callbacks.insert(0, guard)
        return callbacks
    return [guard, *keras.tree.flatten([] if callbacks is None else callbacks)]


@contextmanager
def guarding(model: Any) -> Iterator[None]:
    """A context for one training step outside `fit`, which a `FiniteBound` guards."""
    guard = FiniteBound()
    guard.set_model(model)
    guard.on_epoch_begin(0)
    yield
    (loss,) = (metric.result() for metric in model.metrics if metric.name == "loss")
    guard.on_train_batch_end(0, {"loss": loss})
    guard.on_train_end()


class StopAtSamples(keras.callbacks.Callback):
    """Stop training once the model has evaluated `samples` training samples in total.

    Args:
        samples: the number at which to stop, compared with the model's `samples_evaluated`.

    >>> import numpy as np
    >>> from vae_keras import VAE, callbacks, networks
    >>> vae = VAE(networks.gaussian_encoder(3, 8, 2), networks.bernoulli_decoder(2, 8, 3))
    >>> vae.compile()
    >>> stop = callbacks.StopAtSamples(100)
    >>> history = vae.fit(np.ones((50, 3)), epochs=9, callbacks=[stop], verbose=0)
    >>> vae.samples_evaluated
    100
    """

    def __init__(self, samples: int):
        super().__init__()
        self.samples = samples

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: D102
        if self.model.samples_evaluated >= self.samples:
            self.model.stop_training = True
