"""The wake-sleep algorithm (Hinton et al. 1995), which the paper compares AEVB with."""

from typing import Any

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_keras import _checks
from vae_keras.models.autoencoder import AutoEncoder
from vae_keras.models.latent_variable import datapoints, total
from vae_keras.typing import Codes, Minibatch, Shape


@keras.saving.register_keras_serializable(package="vae_keras")
class WakeSleep(AutoEncoder):
    """The same encoder and decoder as a `VAE`, trained by wake-sleep; see `AutoEncoder`.

    Awake, the decoder learns to explain data x by codes z from the encoder; asleep, the encoder
    learns to find the codes of dreams, x drawn from p(z) p(x|z), one a datapoint. Neither phase
    moves the other's parameters, and the two together do not climb one objective. The metrics are
    still the lower bound and its terms.

    The posterior need not reparameterise. Raises ValueError also for a prior that is to be learned.
    """

    def build(self, input_shape: Shape) -> None:
        """As every `AutoEncoder`; the prior must be fixed."""
        _checks.check_fixed_prior(self._prior, "wake-sleep")
        super().build(input_shape)

    def check_posterior(self, posterior: tfd.Distribution) -> None:
        """Raise ValueError unless `posterior` has a density wherever the prior draws z."""
        _checks.check_dreams(posterior, self.prior)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One wake phase and one sleep phase, from the same parameters."""
        x = datapoints(data)
        theta, phi = self.decoder.trainable_variables, self.encoder.trainable_variables
        with tf.GradientTape(persistent=True) as tape:
            bound = self.bound(x, training=True)
            decay_theta, decay_phi = self.decay(theta), self.decay(phi)
            # Wake: -E_q log p(x|z), only theta's gradient of it; p(z) has no parameters.
            wake = [decay_theta - tf.reduce_mean(bound.reconstruction), *self.decoder.losses]
            # Sleep: -E_p(x,z) log q(z|x).
            z, dreams = self.dream(tf.shape(x)[0])
            recognition = self.encode(dreams, training=True).log_prob(z)
            sleep = [decay_phi - tf.reduce_mean(recognition), *self.encoder.losses]
            losses = [self.scaled(total(*phase), x) for phase in (wake, sleep)]
        gradients = tape.gradient(losses[1], phi) + tape.gradient(losses[0], theta)
        self.optimizer.apply(gradients, [*phi, *theta])
        self.count_visits(x)
        return self.record_bound(bound, decay_theta + decay_phi)

    def dream(self, n: int) -> tuple[Codes, Minibatch]:
        """Draw z of shape (n, *latent) from p(z) and x of shape (n, *input) from p(x|z)."""
        z = self.prior.sample(n, seed=self.noise_seed(training=True))
        x = self.decode(z).sample(seed=self.noise_seed(training=True))
        return tf.stop_gradient(z), tf.stop_gradient(x)
