"""A prior p(z) that is trained along with the networks."""

from typing import Any

import keras
from tensorflow_probability import distributions as tfd

from vae_keras.layers import DistributionLayer

__all__ = ["Learned"]


@keras.saving.register_keras_serializable(package="vae_keras")
class Learned(keras.layers.Layer):
    """A trainable prior p(z) = `layer(w)`: a distribution layer with weights w shared by all x.

        VAE(encoder, decoder, prior=Learned(GaussianMixture(2, components=10)))

    Args:
        layer: a distribution layer, which gives the family and its event shape.
        initializer: a Keras initialiser of the unconstrained parameters w. Default: N(0, 0.5^2), so
            that the components of a mixture start apart.
        kwargs: those of a Keras layer, such as `name`.

    >>> from vae_keras.layers import DiagonalGaussian
    >>> from vae_keras.priors import Learned
    >>> prior = Learned(DiagonalGaussian(2), initializer="zeros")
    >>> print(prior.now().variance().numpy(), prior.count_params())  # log variances 0
    [1. 1.] 4
    """

    def __init__(self, layer: DistributionLayer, initializer: Any = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.layer = layer
        self.initializer = initializer or keras.initializers.RandomNormal(stddev=0.5)
        shape = (*layer.event_shape[:-1], layer.params_size)
        self.params = self.add_weight(name="params", shape=shape, initializer=self.initializer)
        self.built = True

    def now(self) -> tfd.Distribution:
        """p(z) with the current weights; gradients flow to them.

        Returns:
            A TFP distribution over the layer's `event_shape`, without a batch shape.
        """
        return self.layer.distribution(self.params.value)

    def get_config(self) -> dict[str, Any]:
        """The configuration from which Keras recreates the prior."""
        return super().get_config() | {
            "layer": keras.saving.serialize_keras_object(self.layer),
            "initializer": keras.saving.serialize_keras_object(self.initializer),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Learned":
        """Create the prior from its configuration."""
        nested = {name: config[name] for name in ("layer", "initializer")}
        made = {n: keras.saving.deserialize_keras_object(v) for n, v in nested.items()}
        return cls(**config | made)
