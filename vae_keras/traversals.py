"""Traversals of single latent dimensions: the effect of each on x."""

from collections.abc import Sequence

import numpy as np

from vae_keras import _supports, distributions
from vae_keras.pixels import intensities
from vae_keras.typing import Data, Encoding

__all__ = ["traversal"]

VALUES = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)  # standard deviations of the prior N(0, I)


def traversal(
    model: Encoding,
    x: Data,
    dims: Sequence[int] | None = None,
    values: Sequence[float] = VALUES,
) -> np.ndarray:
    """Compute E[x|z] where one dimension of z takes each of `values`.

    The other dimensions stay at the mean of q(z|x).

    Args:
        model: any object with `encode(x)`, `decode(z)` and `prior`, z of shape (d,).
        x: one datapoint, (*input,); uint8 pixels are read as x / 255.
        dims: which of the d dimensions, counted from 0. Default: all.
        values: the values that each of them takes.

    Returns:
        The means, NumPy, (dims, values, *input).

    Raises:
        ValueError: for more than one datapoint, for a z that is not a vector, for a dimension that
            z does not have, and for a value without density under the prior.

    >>> import numpy as np
    >>> from vae_keras import VAE, networks
    >>> from vae_keras.traversals import traversal
    >>> vae = VAE(networks.gaussian_encoder(6, 8, 3), networks.bernoulli_decoder(3, 8, 6))
    >>> print(traversal(vae, np.ones(6), dims=[0, 2], values=[-1, 0, 1]).shape)
    (2, 3, 6)
    """
    shape = tuple(model.prior.event_shape)
    if len(shape) != 1:
        raise ValueError(f"z is of shape {shape}, but a traversal needs vectors (d,): flatten it")
    dims = list(range(shape[0]) if dims is None else dims)
    if not dims:
        raise ValueError(f"dims is empty: give some of 0 to {shape[0] - 1}, or None for all")
    if bad := [dim for dim in dims if dim not in range(shape[0])]:
        raise ValueError(
            f"z has no dimension {bad[0]}: it has {shape[0]}, numbered from 0 to {shape[0] - 1}"
        )
    event = tuple(model.decode(model.prior.sample(1, seed=(0, 0))).event_shape)
    if np.shape(x) != event:
        raise ValueError(
            f"x is of shape {np.shape(x)}, but one datapoint is of shape {event}: give one, x[0]"
        )
    one = intensities(_supports.checked_data(np.asarray(x)[None], model))
    centre = np.asarray(distributions.centre(model.encode(one)), np.float32)
    z = np.tile(centre, (len(dims), len(values), 1))
    for row, dim in enumerate(dims):
        z[row, :, dim] = values
    z = z.reshape(-1, *shape)
    density = np.asarray(model.prior.log_prob(z)).reshape(len(dims), -1)
    if not np.all(np.isfinite(density)):
        row, column = np.argwhere(~np.isfinite(density))[0]
        raise ValueError(
            f"the prior gives no density to {values[column]} in dimension {dims[row]}: give values "
            "that it can draw"
        )
    means = np.asarray(distributions.centre(model.decode(z)))
    return means.reshape(len(dims), len(values), *event)
