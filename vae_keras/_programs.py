"""Programs compiled by XLA, kept with the model that they read, and run a batch at a time.

On a CPU, XLA computes the gradients of convolutions number by number, many times slower than
TensorFlow, so models with convolutions do without XLA there.
"""

import functools
import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vae_keras import _philox
from vae_keras.pixels import intensities
from vae_keras.typing import Data

BATCH = 1000  # datapoints at a time
SMALLEST = 8  # the smallest batch that is compiled for

# Attributes of `Trainer` and Keras that change as a model is built, trained or saved.
OF_TRAINING = {
    "history", "optimizer", "stop_evaluating", "stop_predicting", "stop_training", "_by_xla",
    "_minibatches",
}  # fmt: skip

CONVOLUTIONS = tuple(getattr(keras.layers, name) for name in dir(keras.layers) if "Conv" in name)


def on_gpu() -> bool:
    """Whether TensorFlow has a GPU here."""
    return bool(tf.config.list_physical_devices("GPU"))


def vectorised(by_xla: bool) -> AbstractContextManager[None]:
    """A context in which traced code draws vectorised noise if compiled `by_xla` for a CPU."""
    return _philox.vectorised(by_xla and not on_gpu())


def suits_xla(model: Any) -> bool:
    """Whether XLA makes `model` fast here: not with convolutions on a CPU."""
    if on_gpu() or not isinstance(model, keras.Layer):
        return True
    return not any(isinstance(layer, CONVOLUTIONS) for layer in model._flatten_layers())


class _Programs(dict):
    """A model's compiled programs, kept as its attribute, so that they are freed with it."""

    def __reduce__(self):
        return _Programs, ()  # a copied or unpickled model compiles its own


def compiled(model: Any, settings: tuple, program: Callable, **options: Any) -> Callable:
    """Compile `program`, or return the one compiled earlier for `model` and `settings`.

    It follows the values of all variables. It is recompiled if an attribute of the model or of a
    layer in it was replaced, or a number or an array in one. Anything deeper that may change must
    be a variable, or `forget` must be called. For a model without a `__dict__`, such as a named
    tuple, it is compiled at each call. `options`: of `tf.function`; default: XLA if it suits the
    model.
    """
    options = options or {"jit_compile": suits_xla(model)}
    made = tf.function(program, autograph=False, **options)
    if not hasattr(model, "__dict__"):
        return made
    programs = vars(model).setdefault("_programs", _Programs())
    leaves = list(_leaves(model))
    now = [_identity(leaf) for leaf in leaves]
    key = id(model), settings  # a shallow copy shares the original's programs
    if key not in programs or programs[key][0] != now:
        programs[key] = now, leaves, made  # keeps the leaves: ids could be reused
    return programs[key][-1]


def forget(model: Any) -> None:
    """Drop the compiled programs of `model`."""
    vars(model).pop("_programs", None)


@functools.cache
def _passing():
    """Not at import, since a model made then would fix the precision of later ones."""
    return OF_TRAINING | vars(keras.Model(name="none")).keys()


def _leaves(model):
    """The values that a program fixes when traced: each attribute's name and contents."""
    owners = model._flatten_layers() if isinstance(model, keras.Layer) else [model]
    for owner in owners:
        passing = _passing() if isinstance(owner, keras.Layer) else ()
        for name, value in vars(owner).items():
            if name not in passing and not isinstance(value, _Programs):
                yield name
                yield from _inside(value)


def _inside(value):
    if isinstance(value, list | tuple):
        for one in value:
            yield from _inside(one)
    elif isinstance(value, dict):
        yield from _inside(list(value.items()))
    else:
        yield value


def _identity(leaf):
    """A key, equal for the same object, and for numbers, strings and arrays of the same value."""
    if isinstance(leaf, np.ndarray | np.generic):
        return leaf.dtype.str, leaf.shape, hashlib.sha256(leaf.tobytes()).digest()
    return (type(leaf), leaf) if isinstance(leaf, int | float | str) else id(leaf)


def in_batches(
    program: Callable, x: Data, seed_of: Callable, axes: tuple[int, ...]
) -> list[tf.Tensor]:
    """The results of `program(x, seed)`, run on `BATCH` datapoints at a time and concatenated.

    `axes`: the axis of the datapoints in each result. `seed_of(i)`: the i-th batch's seed. A
    smaller batch is padded with its own rows to a power of two, so that data of any length need at
    most eight programs.
    """
    parts = []
    for i in range(-(-len(x) // BATCH)):
        batch = intensities(x[i * BATCH : (i + 1) * BATCH])
        n = len(batch)
        size = min(BATCH, max(SMALLEST, 2 ** (n - 1).bit_length()))
        values = program(tf.gather(batch, tf.range(size) % n), seed_of(i))
        parts.append(
            [v[(slice(None),) * axis + (slice(n),)] for v, axis in zip(values, axes, strict=True)]
        )
    return [tf.concat(v, axis) for v, axis in zip(zip(*parts, strict=True), axes, strict=True)]
