"""Checks of a model's input: arrays, `tf.data`, PyDatasets and generators.

`model` is a `Trainer`; if it has no weights yet, it is built for the shape of the first data.
"""

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vae_keras import _checks, _streams
from vae_keras.typing import Data, Shape

EVALUATION_BATCH_SIZE = 1000


def checked(model: Any, x: Any) -> Any:
    """`x` as an array or a stream that the model can read; else ValueError."""
    x = _checks.one_input(x)
    if isinstance(x, tf.data.Dataset):
        spec = x.element_spec
        _check_unweighted(*spec[2:3] if isinstance(spec, tuple) else ())
        shape = _checks.stream_input(x).shape
        if not model.built and None in (shape[1:] if shape.rank else [None]):
            shapes = x.map(lambda *batch: tf.shape(batch[0]))
            shape = tf.TensorShape(next(iter(shapes.take(1))).numpy())  # as Keras does too
        build_for(model, shape)
        if shape.rank is not None and shape[1:].is_fully_defined():
            _checks.check_shape((shape[0], *shape[1:]), model.event_shape)
        return _streams.checked_dataset(x, _check_values(model), model.event_shape)
    if hasattr(x, "shape"):
        return checked_array(model, x)
    if isinstance(x, keras.utils.PyDataset):
        if not model.built:
            build_for(model, np.shape(keras.utils.unpack_x_y_sample_weight(x[0])[0]))
        return _streams.CheckedPyDataset(x, _check_batch(model))
    if inspect.isgenerator(x):
        return _streams.checked_generator(x, _check_batch(model))
    raise ValueError(
        f"the data are a {type(x).__name__}: give an array, a tf.data.Dataset, a "
        "keras.utils.PyDataset or a generator of minibatches"
    )


def checked_array(model: Any, x: Any) -> Data:
    """`x` as one array of datapoints that the model can read; else ValueError."""
    x = _checks.one_input(x)
    if not hasattr(x, "shape"):
        raise ValueError(f"the data are a {type(x).__name__}: give an array of datapoints")
    build_for(model, x.shape)
    _check_values(model)(x)
    return x


def checked_values(model: Any, x: Any) -> Any:
    """`x`, checked unless it is symbolic, in a program being traced."""
    is_symbolic = isinstance(x, keras.KerasTensor) or (tf.is_tensor(x) and tf.is_symbolic_tensor(x))
    return x if is_symbolic else checked_array(model, x)


def divided(model: Any, x: Any, validation_split: float, validation_data: Any) -> tuple[Any, Any]:
    """The training and validation data, checked, from the arguments of `fit`.

    Raises ValueError for a split that is out of range, of a stream or empty on one side, and for
    data that the model cannot read.
    """
    x = checked(model, x)
    if not 0 <= validation_split < 1:
        raise ValueError(
            f"validation_split is {validation_split}, but must be at least 0 and below 1"
        )
    if validation_split and not hasattr(x, "shape"):
        raise ValueError("validation_split divides arrays only: for a stream, give validation_data")
    if validation_data is not None:
        return x, checked(model, _without_targets(model, validation_data))
    if not validation_split:
        return x, None
    n_train = trained_on(x, validation_split)
    if n_train in (0, len(x)):
        raise ValueError(
            f"validation_split is {validation_split}, which divides {len(x)} datapoints "
            f"into {n_train} and {len(x) - n_train}: leave some for both"
        )
    first, last = np.split(x, [n_train])
    return first, last


def trained_on(x: Data, validation_split: float) -> int:
    """The number of rows at the start of x that `validation_split` leaves for training."""
    return int(len(x) * (1 - validation_split))


@contextlib.contextmanager
def not_empty(model: Any, stream: Any) -> Iterator[Any]:
    """A context with the stream; raises ValueError at its end if an epoch has read nothing."""
    before = model.examples_seen
    yield stream
    if model.examples_seen == before and model.history.epoch:  # none: all epochs were done
        raise ValueError(_checks.EMPTY)


def batch_size(x: Any, given: int | None) -> int | None:
    """The batch size of `evaluate` and `predict` on x; None for a stream, which has its own."""
    size = EVALUATION_BATCH_SIZE if given is None else _checks.count("batch_size", given)
    return size if hasattr(x, "shape") else None


def build_for(model: Any, shape: Shape) -> None:
    """Create the weights of a model that has none yet, for minibatches of this shape."""
    if not model.built:
        with model.distribute_strategy.scope():
            model.build((None, *shape[1:]))


def check_objective(
    loss: Any = None, metrics: Any = None, weighted_metrics: Any = None, **_: Any
) -> None:
    """Raise ValueError for another loss or other metrics than the model's own."""
    if not loss is metrics is weighted_metrics is None:
        raise ValueError(
            "the loss is the negative lower bound and the metrics are the bound's terms: call "
            "compile() without `loss`, `metrics` and `weighted_metrics`"
        )


def check_use(model: Any, method: str, *weights: Any, **kwargs: Any) -> None:
    """Raise ValueError if the model is not compiled, or if sample or class weights are given."""
    if not model.compiled:
        raise ValueError(f"the model is not compiled: call compile() before {method}()")
    _check_unweighted(*weights, **kwargs)


def _check_unweighted(sample_weight=None, class_weight=None, **_):
    if sample_weight is not None or class_weight is not None:
        raise ValueError("this model takes no sample_weight or class_weight: leave them out")


def _without_targets(model, data):
    """x of validation data x, (x, y) or [x, y]; a list of datapoints is x."""
    if isinstance(data, list) and np.ndim(data[0]) == 1 + len(model.event_shape):
        data = tuple(data)
    if isinstance(data, tuple):
        _check_unweighted(sample_weight=data[2] if len(data) > 2 else None)
        return data[0]
    return data


def _check_batch(model):
    """A check that raises ValueError for a minibatch x, (x,) or (x, y) the model cannot read."""
    check = None

    def look(batch):
        nonlocal check
        x, _, weights = keras.utils.unpack_x_y_sample_weight(batch)
        _check_unweighted(sample_weight=weights)
        x = _checks.one_input(x)
        build_for(model, x.shape)
        check = check or _check_values(model)
        check(np.asarray(x))

    return look


def _check_values(model):
    """A check that raises ValueError for an array of datapoints that the model cannot read.

    Only the first array is checked for dark uint8 pixels: a later dark minibatch means nothing.
    """
    check_density, seen = model.density_check(), False

    def look(x):
        nonlocal seen
        _checks.check_shape(x.shape, model.event_shape)
        if not (seen and x.dtype == np.uint8 and model.pixels):
            _checks.check_values(x, model.unit_interval, model.pixels)
        if check_density is not None:
            check_density(x)
        seen = True

    return look
