"""The wake-sleep algorithm (Hinton et al. 1995), which the paper compares AEVB with."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_keras import _checks
from vae_keras.models.autoencoder import AutoEncoder
from vae_keras.models.latent_variable import datapoints, total
from vae_keras.typing import Codes, Minibatch


@keras.saving.register_keras_serializable(package="vae_keras")
class WakeSleep(AutoEncoder):
    """The same encoder and decoder as a `VAE`, trained by wake-sleep.

    The wake phase trains the decoder theta on data x and codes z from the encoder. The sleep phase
    trains the encoder phi on dreams, one per datapoint: z and x drawn from p(z) p(x|z) with the
    updated decoder.

        theta maximises E_q(z|x)[log p(x|z)]
        phi maximises E_p(z)p(x|z)[log q(z|x)]

    Each phase updates only its own parameters, and together they do not maximise one objective. The
    metrics are still the lower bound and its terms. The posterior need not be reparameterised.

    Args:
        encoder, decoder, estimator, n_samples, weight_decay, seed: as in `AutoEncoder`.
        prior: p(z), a fixed TFP distribution. Default: N(0, I).
        clip: (low, high), the range of the data, to which dreams are clipped if p(x|z) exceeds it,
            as a Gaussian over pixels does. Default None: no clipping.
        kwargs: those of `keras.Model`, such as `name`.

    Raises:
        ValueError: as `AutoEncoder` does; for a learned prior; for a `clip` whose low is not below
            high; and, when compiled, as `compile()` does.

    >>> from vae_keras import WakeSleep, datasets, networks
    >>> import keras
    >>> keras.utils.set_random_seed(0)
    >>> digits = datasets.load("mnist_5k")
    >>> encoder = networks.gaussian_encoder(n_pixels=784, hidden=100, latent_dim=5)
    >>> decoder = networks.bernoulli_decoder(latent_dim=5, hidden=100, n_pixels=784)
    >>> model = WakeSleep(encoder, decoder)
    >>> model.compile(keras.optimizers.Adagrad(0.05))
    >>> history = model.fit(digits.x_train, batch_size=20, epochs=5, verbose=0)
    >>> print(model.elbo(digits.x_test).mean() > -205)  # about -195; untrained: -543
    True
    """

    SETTINGS = (*AutoEncoder.SETTINGS, "clip")

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        prior: tfd.Distribution | None = None,
        *,
        estimator: str | None = None,
        n_samples: int = 1,
        weight_decay: float = 0.0,
        clip: tuple[float, float] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ):
        if clip is not None and not (np.shape(clip) == (2,) and clip[0] < clip[1]):
            raise ValueError(f"clip is {clip!r}, but must be None or (low, high), low below high")
        _checks.check_fixed_prior(prior, "wake-sleep")
        super().__init__(
            encoder,
            decoder,
            prior,
            estimator=estimator,
            n_samples=n_samples,
            weight_decay=weight_decay,
            seed=seed,
            **kwargs,
        )
        self.clip = None if clip is None else tuple(clip)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """As `Trainer.compile()`.

        Raises:
            ValueError: as there, and for an optimiser with a state that two updates per minibatch
                would change twice: gradients that accumulate, averages of weights, Nadam.
        """
        super().compile(*args, **kwargs)
        optimizer: Any = getattr(self.optimizer, "inner_optimizer", self.optimizer)
        if steps := optimizer.gradient_accumulation_steps:
            problem = f"gradient_accumulation_steps = {steps} would merge: use larger minibatches"
        elif optimizer.use_ema:
            problem = "use_ema=True would average twice: leave it out"
        elif isinstance(optimizer, keras.optimizers.Nadam):
            problem = "would both advance Nadam's product of momenta: use Adam"
        else:
            return
        self.compiled = False
        raise ValueError(f"wake-sleep makes two updates per minibatch, which {problem}")

    def check_posterior(self, posterior: tfd.Distribution) -> None:
        """Raise ValueError unless `posterior` has a density wherever the prior draws z."""
        _checks.check_dreams(posterior, self.prior)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Two updates: a wake phase, then a sleep phase with the updated decoder."""
        x = datapoints(data)
        theta, phi = self.decoder.trainable_variables, self.encoder.trainable_variables
        with tf.GradientTape() as tape:  # wake: -E_q log p(x|z), gradient in theta only
            bound = self.bound(x, training=True)
            decay = self.decay(theta)
            metrics = self.record_bound(bound, decay + self.decay(phi))  # before anything moves
            wake = [decay - tf.reduce_mean(bound.reconstruction), *self.decoder.losses]
            loss = self.scaled(total(*wake), x)
        # float16 wraps the optimiser in another
        optimizer: Any = getattr(self.optimizer, "inner_optimizer", self.optimizer)
        iterations = tf.convert_to_tensor(optimizer.iterations)
        self.optimizer.apply(tape.gradient(loss, theta), theta)
        with tf.GradientTape() as tape:  # sleep: -E_p(x,z) log q(z|x)
            z, dreams = self.dream(tf.shape(x)[0])
            recognition = self.encode(dreams, training=True).log_prob(z)
            sleep = [self.decay(phi) - tf.reduce_mean(recognition), *self.encoder.losses]
            loss = self.scaled(total(*sleep), x)
        if phi:  # a frozen encoder has no update
            optimizer.iterations.assign(iterations)  # the two updates are one iteration
        self.optimizer.apply(tape.gradient(loss, phi), phi)
        self.count_examples(x)
        return metrics

    def dream(self, n: int) -> tuple[Codes, Minibatch]:
        """Draw z of shape (n, *latent) from p(z) and x of shape (n, *input) from p(x|z)."""
        z = self.prior.sample(n, seed=self.noise_seed(training=True))
        x = self.decode(z).sample(seed=self.noise_seed(training=True))
        if self.clip is not None:
            x = tf.clip_by_value(x, *self.clip)
        return tf.stop_gradient(z), tf.stop_gradient(x)
