"""Convert pixels to a model's input, and binarise them.

A model of pixels reads a uint8 pixel p as the intensity p / 255, by `intensities(x)`. `unit(x)`
does the same in NumPy.

Grey pixels can be binarised, with the intensity as the probability of white: `binarised(x)` once,
reproducibly, `Binarised(x)` afresh in each epoch. Their log probabilities, and so the bounds, are
then those of a likelihood, in nats.
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from vae_keras import _checks, _noise
from vae_keras.typing import Data

__all__ = ["Binarised", "binarised", "intensities", "unit"]


def unit(x: np.ndarray) -> np.ndarray:
    """Map uint8 pixels to float32 intensities in [0, 1]; convert anything else to float32.

    Args:
        x: an array of any shape.

    Returns:
        NumPy, float32, of x's shape.

    >>> import numpy as np
    >>> from vae_keras.pixels import unit
    >>> print(unit(np.uint8([0, 51, 255])))
    [0.  0.2 1. ]
    """
    x = np.asarray(x)
    return x.astype(np.float32) / np.float32(255 if x.dtype == np.uint8 else 1)


def intensities(x: Data, pixels: bool = True) -> tf.Tensor:
    """Convert x to a model's float32 input.

    Args:
        x: an array or a tensor of any shape.
        pixels: whether uint8 values are pixels, read as x / 255; else they are numbers.

    Returns:
        A float32 tensor of x's shape.

    >>> import numpy as np
    >>> from vae_keras.pixels import intensities
    >>> print(intensities(np.uint8([0, 51, 255])).numpy())
    [0.  0.2 1. ]
    """
    x = tf.convert_to_tensor(x)
    if x.dtype == tf.uint8 and pixels:
        return tf.cast(x, tf.float32) / 255.0
    return tf.cast(x, tf.float32)


def binarised(x: np.ndarray, seed: int = 0) -> np.ndarray:
    """Draw each pixel white (1) or black (0), with its intensity as the probability of white.

    The noise, by NumPy's Philox, depends only on `seed` and each pixel's place. The result is
    therefore the same on every machine, and that of the first rows of `x` does not depend on the
    others.

    Args:
        x: uint8 pixels, read as x / 255, or intensities in [0, 1].
        seed: seed of the noise, a non-negative integer.

    Returns:
        NumPy, float32, of x's shape.

    Raises:
        ValueError: for values outside [0, 1], or NaN, and for an invalid seed.

    >>> import numpy as np
    >>> from vae_keras.pixels import binarised
    >>> grey = np.full((2, 8), 64, "uint8")  # a quarter
    >>> print(binarised(grey))
    [[1. 1. 0. 0. 0. 0. 0. 1.]
     [1. 0. 0. 0. 0. 0. 0. 1.]]
    """
    _checks.check_values(x, unit_interval=True, pixels=True)
    return _drawn(unit(x), _philox(seed))


class Binarised(keras.utils.PyDataset):
    """Minibatches of `x` for `fit`, with pixels binarised afresh in each epoch.

    Args:
        x: uint8 pixels, or intensities in [0, 1], as in `binarised`.
        batch_size: M; the last minibatch of an epoch may be smaller.
        seed: with the number of the epoch, it determines each epoch's noise and order of rows.
        epoch: the number of the first epoch. The attribute of that name is the current epoch; it
            increases by one at the end of each, and may be set.
        kwargs: `workers`, `use_multiprocessing`, `max_queue_size` of Keras's `PyDataset`.

    Each minibatch is float32, zeros and ones, (M, *x.shape[1:]). `fit` also shuffles the order of
    these minibatches, by Python's generator, unless `shuffle=False`. To validate on the same draws
    each time, pass a `binarised` array as `validation_data`.

    Raises:
        ValueError: as `binarised` does, and for a `batch_size` below 1.

    >>> import numpy as np
    >>> from vae_keras.pixels import Binarised
    >>> data = Binarised(np.full((250, 8), 64, "uint8"))
    >>> print(len(data), data[0].shape, data[2].shape)
    3 (100, 8) (50, 8)
    >>> first = data[0]
    >>> data.on_epoch_end()  # as `fit` does
    >>> print(data.epoch, (data[0] == first).all())
    1 False
    """

    def __init__(
        self, x: np.ndarray, batch_size: int = 100, seed: int = 0, epoch: int = 0, **kwargs: Any
    ):
        super().__init__(**kwargs)
        _checks.check_values(x, unit_interval=True, pixels=True)
        if batch_size < 1:
            raise ValueError(f"batch_size (M) is {batch_size}, but must be at least 1")
        _philox(seed)
        self.x, self.batch_size, self.seed, self.epoch = x, batch_size, seed, epoch

    def __len__(self) -> int:
        return -(-len(self.x) // self.batch_size)

    def __getitem__(self, index: int) -> np.ndarray:
        order = _philox(self.seed, 0, 1 + self.epoch).permutation(len(self.x))
        rows = order[index * self.batch_size : (index + 1) * self.batch_size]
        return _drawn(unit(self.x[rows]), _philox(self.seed, 1 + index, 1 + self.epoch))

    def on_epoch_end(self) -> None:
        """Go on to the next epoch's draws; called by Keras."""
        self.epoch += 1


def _philox(seed: int, minibatch: int = 0, epoch: int = 0) -> np.random.Generator:
    """Separate noise for each minibatch of each epoch; epoch 0 is for `binarised`."""
    _noise.words(seed)  # raises ValueError for an invalid seed
    return np.random.Generator(np.random.Philox(seed, counter=[0, 0, minibatch, epoch]))


def _drawn(intensity, noise):
    return (noise.random(intensity.shape, np.float32) < intensity).astype(np.float32)
