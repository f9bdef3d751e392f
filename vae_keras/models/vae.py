"""The variational auto-encoder, trained by AEVB."""

from typing import Any, Self

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_keras import _checks
from vae_keras.bounds import Bound
from vae_keras.models.autoencoder import AutoEncoder
from vae_keras.models.latent_variable import datapoints


@keras.saving.register_keras_serializable(package="vae_keras")
class VAE(AutoEncoder):
    """An encoder and a decoder trained together by Algorithm 1 (AEVB); see `AutoEncoder`.

    `kl_weight`: w, by which the KL counts in what is learned: reconstruction - w KL is climbed
    instead of the bound, which the paper's 1 leaves as it is. At least 0; or a
    `keras.optimizers.schedules.LearningRateSchedule`, whose value at the optimiser's iterations,
    from 0 on, is w. The metrics `elbo`, `reconstruction` and `kl` do not know of it; `loss` is
    `weight_decay` - (`reconstruction` - w `kl`) in training, and in evaluation, which measures the
    bound, `weight_decay` - `elbo`.

    Raises ValueError also for a posterior that does not reparameterise; for a `kl_weight` that is
    negative, not finite or no number; and for one other than 1 with estimator IW, whose bound has
    no KL to weigh.
    """

    SETTINGS = (*AutoEncoder.SETTINGS, "kl_weight")

    def __init__(
        self,
        *args: Any,
        kl_weight: float | keras.optimizers.schedules.LearningRateSchedule = 1.0,
        **kwargs: Any,
    ):
        _checks.check_kl_weight(kl_weight, kwargs.get("estimator"))
        super().__init__(*args, **kwargs)
        self.kl_weight = kl_weight if callable(kl_weight) else float(kl_weight)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One iteration of Algorithm 1 (AEVB)."""
        x = datapoints(data)  # X^M, a random minibatch of M datapoints
        with tf.GradientTape() as tape:
            # epsilon: random samples of the noise; L~(theta, phi; X^M, epsilon)
            bound = self.bound(x, training=True)
            decay = self.decay(self.trainable_variables)
            objective = self.objective(bound)
            loss = self.scaled(self.loss_of(objective, decay), x)
        gradients = tape.gradient(loss, self.trainable_variables)  # with respect to theta, phi
        self.optimizer.apply(gradients, self.trainable_variables)  # SGD or Adagrad
        self.count_visits(x)
        return self.record_bound(bound, decay, objective)

    def objective(self, bound: Bound) -> Bound:
        """What is climbed in the place of `bound`: its `elbo` is reconstruction - w KL."""
        if self.kl_weight == 1:
            return bound
        weight = self.kl_weight
        if not isinstance(weight, float):  # in the graph: `fit` runs many minibatches at a time
            weight = tf.cast(weight(self.optimizer.iterations), bound.kl.dtype)
        return bound._replace(elbo=bound.reconstruction - weight * bound.kl)

    def check_posterior(self, posterior: tfd.Distribution) -> None:
        """Raise ValueError unless gradients flow through the samples of `posterior`."""
        _checks.check_reparameterised(posterior)

    def get_config(self) -> dict[str, Any]:
        """The configuration from which Keras makes the model again."""
        weight = self.kl_weight
        if not isinstance(weight, float):
            weight = keras.saving.serialize_keras_object(weight)
        return super().get_config() | {"kl_weight": weight}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Self:
        """Make the model that `get_config` described."""
        weight = config.get("kl_weight", 1.0)  # which files of earlier versions lack
        if isinstance(weight, dict):
            weight = keras.saving.deserialize_keras_object(weight, custom_objects)
        return super().from_config(config | {"kl_weight": weight}, custom_objects)
