"""The variational auto-encoder, trained by AEVB."""

from typing import Any

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_keras import _checks
from vae_keras.models.autoencoder import AutoEncoder
from vae_keras.models.latent_variable import datapoints


@keras.saving.register_keras_serializable(package="vae_keras")
class VAE(AutoEncoder):
    """An encoder and a decoder trained together by Algorithm 1 (AEVB); see `AutoEncoder`.

    Raises ValueError also for a posterior that does not reparameterise.
    """

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One iteration of Algorithm 1 (AEVB)."""
        x = datapoints(data)  # X^M, a random minibatch of M datapoints
        with tf.GradientTape() as tape:
            # epsilon: random samples of the noise; L~(theta, phi; X^M, epsilon)
            bound = self.bound(x, training=True)
            decay = self.decay(self.trainable_variables)
            loss = self.scaled(self.loss_of(bound, decay), x)
        gradients = tape.gradient(loss, self.trainable_variables)  # with respect to theta, phi
        self.optimizer.apply(gradients, self.trainable_variables)  # SGD or Adagrad
        self.count_visits(x)
        return self.record_bound(bound, decay)

    def check_posterior(self, posterior: tfd.Distribution) -> None:
        """Raise ValueError unless gradients flow through the samples of `posterior`."""
        _checks.check_reparameterised(posterior)
