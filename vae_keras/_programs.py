"""Programs compiled by XLA, kept with the model that they read, and run a batch at a time.

On a CPU XLA multiplies out the gradients of convolutions one number after the other, many times as
slowly as TensorFlow: a model that has any does without it there.
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
SMALLEST = 8  # of them, at least

# Attributes of `Trainer`'s and Keras's own, which change as a model is built, trained or saved.
OF_TRAINING = {
    "history", "optimizer", "stop_evaluating", "stop_predicting", "stop_training", "_by_xla",
    "_minibatches",
}  # fmt: skip

CONVOLUTIONS = tuple(getattr(keras.layers, name) for name in dir(keras.layers) if "Conv" in name)


def on_gpu() -> bool:
    """Whether TensorFlow has a GPU here."""
    return bool(tf.config.list_physical_devices("GPU"))


def vectorised(by_xla: bool) -> AbstractContextManager[None]:
    """What is traced herein draws by vectors where it is compiled `by_xla` for a CPU."""
    return _philox.vectorised(by_xla and not on_gpu())


def suits_xla(model: Any) -> bool:
    """Whether XLA makes `model` fast here: not where it convolves on a CPU."""
    if on_gpu() or not isinstance(model, keras.Layer):
        return True
    return not any(isinstance(layer, CONVOLUTIONS) for layer in model._flatten_layers())


class _Programs(dict):
    """What was compiled for a model, among its attributes: it goes when the model goes."""

    def __reduce__(self):
        return _Programs, ()  # a copy of the model, or one that is pickled, compiles its own


def compiled(model: Any, settings: tuple, program: Callable, **options: Any) -> Callable:
    """`program` compiled, or what an earlier call made of it for `model` and `settings`.

    It follows the values of variables, wherever they are, and is made anew where an attribute of
    the model, or of a layer in it, was replaced, or a number or an array in one. What else may
    change, deeper within, is to be a variable, or `forget` to be called. A model without a
    `__dict__`, as a named tuple, has it compiled at each call. `options`: of `tf.function`, by
    default XLA where it suits the model.
    """
    options = options or {"jit_compile": suits_xla(model)}
    made = tf.function(program, autograph=False, **options)
    if not hasattr(model, "__dict__"):
        return made
    programs = vars(model).setdefault("_programs", _Programs())
    leaves = list(_leaves(model))
    now = [_identity(leaf) for leaf in leaves]
    key = id(model), settings  # a shallow copy has the very programs of the original
    if key not in programs or programs[key][0] != now:
        programs[key] = now, leaves, made  # the leaves too, lest their ids be used again
    return programs[key][-1]


def forget(model: Any) -> None:
    """Drop what was compiled for `model`."""
    vars(model).pop("_programs", None)


@functools.cache
def _passing():
    """Not at import: a model made then would decide in which precision later ones are."""
    return OF_TRAINING | vars(keras.Model(name="none")).keys()


def _leaves(model):
    """What a program has read once and for all: each attribute's name, and what is in it."""
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
    """Equal for one object, and for numbers, strings and arrays of one value."""
    if isinstance(leaf, np.ndarray | np.generic):
        return leaf.dtype.str, leaf.shape, hashlib.sha256(leaf.tobytes()).digest()
    return (type(leaf), leaf) if isinstance(leaf, int | float | str) else id(leaf)


def in_batches(
    program: Callable, x: Data, seed_of: Callable, axes: tuple[int, ...]
) -> list[tf.Tensor]:
    """What `program(x, seed)` gives, of `BATCH` datapoints at a time; `axes`: theirs, of each part.

    `seed_of(i)`: the i-th batch's seed. A smaller batch is filled up with rows of its own to a
    power of two, so that data of all lengths make eight programs at most.
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
