"""Names for array shapes and kinds of models, for annotations.

The letters are the paper's: N datapoints in a data set, M in a minibatch, L samples of z for each.
`*input` is the shape of a datapoint x, `*latent` that of z, which is (d,) wherever HMC is used.
"""

from typing import Annotated, Any, Protocol, TypeAlias

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

Data: TypeAlias = Annotated[Any, "(N, *input), an array or a tensor; uint8 pixels or numbers"]
Minibatch: TypeAlias = Annotated[tf.Tensor, "(M, *input)"]
Codes: TypeAlias = Annotated[tf.Tensor, "(M, *latent)"]
Draws: TypeAlias = Annotated[tf.Tensor, "(L, M, *latent)"]
PerDraw: TypeAlias = Annotated[tf.Tensor, "(L, M)"]
PerDatapoint: TypeAlias = Annotated[tf.Tensor, "(M,)"]
Nats: TypeAlias = Annotated[np.ndarray, "(N,), nats"]
Rows: TypeAlias = Annotated[tf.Tensor, "(M,), integers: which rows of a data set"]
Parameters: TypeAlias = Annotated[tf.Tensor, "(M, ..., params_size), unconstrained"]
Batch: TypeAlias = Annotated[Any, "(*batch), a number or an array or tensor of them"]
Seed: TypeAlias = Annotated[tf.Tensor, "(2,), int32: TFP's"]
Shape: TypeAlias = Annotated[Any, "a tuple of sizes; None: any size"]


class Decoding(Protocol):
    """A model p(z) p(x|z), as `mcmc` and `marginal_likelihood` need it: the library's or yours."""

    @property
    def prior(self) -> tfd.Distribution:
        """p(z), over `*latent`."""

    def decode(self, z: Codes) -> tfd.Distribution:
        """p(x|z), of batch shape (M,), over `*input`."""


class Encoding(Decoding, Protocol):
    """A model that also has an encoder."""

    def encode(self, x: Minibatch) -> tfd.Distribution:
        """q(z|x), of batch shape (M,), over `*latent`."""
