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
    learns to find the codes of dreams, x drawn from p(z) p(x|z) with the decoder as it has become,
    one a datapoint. Neither phase moves the other's parameters, and the two together do not climb
    one objective. The metrics are still the lower bound and its terms.

    `clip`: (low, high), the range of the data, to which dreams are clipped where p(x|z) reaches
    beyond it, as a Gaussian over pixels does; None: they are not. Raises ValueError where low is
    not below high.

    The posterior need not reparameterise. Raises ValueError also for a prior that is to be learned.
    """

    SETTINGS = (*AutoEncoder.SETTINGS, "clip")

    def __init__(self, *args: Any, clip: tuple[float, float] | None = None, **kwargs: Any):
        if clip is not None and not (len(clip) == 2 and clip[0] < clip[1]):
            raise ValueError(f"clip is {clip!r}, but must be None or (low, high), low below high")
        super().__init__(*args, **kwargs)
        self.clip = None if clip is None else tuple(clip)

    def build(self, input_shape: Shape) -> None:
        """As every `AutoEncoder`; the prior must be fixed."""
        _checks.check_fixed_prior(self._prior, "wake-sleep")
        super().build(input_shape)

    def check_posterior(self, posterior: tfd.Distribution) -> None:
        """Raise ValueError unless `posterior` has a density wherever the prior draws z."""
        _checks.check_dreams(posterior, self.prior)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """A wake phase, then a sleep phase with the decoder as it has become: two updates."""
        x = datapoints(data)
        theta, phi = self.decoder.trainable_variables, self.encoder.trainable_variables
        with tf.GradientTape() as tape:  # wake: -E_q log p(x|z), only theta's gradient of it
            bound = self.bound(x, training=True)
            decay = self.decay(theta)
            metrics = self.record_bound(bound, decay + self.decay(phi))  # before anything moves
            wake = [decay - tf.reduce_mean(bound.reconstruction), *self.decoder.losses]
            loss = self.scaled(total(*wake), x)
        # float16 has an optimiser within the optimiser
        optimizer: Any = getattr(self.optimizer, "inner_optimizer", self.optimizer)
        iterations = tf.convert_to_tensor(optimizer.iterations)
        self.optimizer.apply(tape.gradient(loss, theta), theta)
        with tf.GradientTape() as tape:  # sleep: -E_p(x,z) log q(z|x)
            z, dreams = self.dream(tf.shape(x)[0])
            recognition = self.encode(dreams, training=True).log_prob(z)
            sleep = [self.decay(phi) - tf.reduce_mean(recognition), *self.encoder.losses]
            loss = self.scaled(total(*sleep), x)
        if phi:  # else it is frozen, and its phase moves nothing
            optimizer.iterations.assign(iterations)  # as with an optimiser each: one a minibatch
        self.optimizer.apply(tape.gradient(loss, phi), phi)
        self.count_visits(x)
        return metrics

    def dream(self, n: int) -> tuple[Codes, Minibatch]:
        """Draw z of shape (n, *latent) from p(z) and x of shape (n, *input) from p(x|z)."""
        z = self.prior.sample(n, seed=self.noise_seed(training=True))
        x = self.decode(z).sample(seed=self.noise_seed(training=True))
        if self.clip is not None:
            x = tf.clip_by_value(x, *self.clip)
        return tf.stop_gradient(z), tf.stop_gradient(x)

    def get_config(self) -> dict[str, Any]:
        """The configuration from which Keras makes the model again."""
        return super().get_config() | {"clip": self.clip}
