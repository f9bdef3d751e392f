"""The variational auto-encoder, trained by AEVB."""

from typing import Any

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_keras import _checks
from vae_keras.bounds import Bound
from vae_keras.models.autoencoder import AutoEncoder
from vae_keras.models.latent_variable import datapoints
from vae_keras.priors import Learned


@keras.saving.register_keras_serializable(package="vae_keras")
class VAE(AutoEncoder):
    """The variational auto-encoder: encoder and decoder trained together by Algorithm 1 (AEVB).

    Training maximises the lower bound of log p(x), equation 3, in nats per datapoint:

        L(x) = E_q(z|x)[log p(x|z)] - KL(q(z|x) || p(z))

    A minibatch x has shape (M, *input), and z has shape (M, *latent). Data of type uint8 are read
    as pixels, x / 255, unless the decoder is over counts. The metrics are means over datapoints, in
    nats: `reconstruction` estimates E_q(z|x)[log p(x|z)], `kl` is KL(q(z|x) || p(z)), `elbo` =
    `reconstruction` - `kl`, and, with a `kl_weight` of 1, `loss` = `weight_decay` - `elbo`.

    Args:
        encoder: q(z|x), a Keras model with one input that ends in a distribution layer.
        decoder: p(x|z), a Keras model of z that ends in a distribution layer over x.
        prior: p(z), a TFP distribution or a `priors.Learned`. Default: N(0, I).
        estimator: "A" (equation 6), "B" (equation 7) or "IW" (importance-weighted). Default: B,
            or A with a warning if the KL has no closed form.
        n_samples: L, the number of samples of z per datapoint.
        weight_decay: adds `weight_decay` |W|^2 / 2 to the loss, the metric of that name, W the
            matrices and kernels only. 1/N is the paper's prior N(0, I) on these (the paper has it
            on all parameters).
        kl_weight: weight of the KL term in the training loss (beta in beta-VAE): training maximises
            `reconstruction - kl_weight * kl`. Default 1: the paper's bound. A number of at least
            0, or a `keras.optimizers.schedules.LearningRateSchedule`, called with the number of
            iterations of the optimiser, counted from 0.
        seed: seed of the noise. Default: drawn from Python's generator.
        kwargs: those of `keras.Model`, such as `name`.

    `kl_weight` does not change the metrics `elbo`, `reconstruction` and `kl`. In training, `loss`
    is `weight_decay - (reconstruction - kl_weight * kl)`. Evaluation measures the bound: there
    `loss` is `weight_decay - elbo`.

    Raises:
        ValueError: as `AutoEncoder` does; for a posterior that is not reparameterised; for a
            `kl_weight` that is negative, not finite or not a number; and for a `kl_weight` other
            than 1 with estimator IW, whose bound has no separate KL term.

    >>> from vae_keras import VAE, datasets, networks
    >>> import keras
    >>> keras.utils.set_random_seed(0)
    >>> digits = datasets.load("mnist_5k")
    >>> encoder = networks.gaussian_encoder(n_pixels=784, hidden=100, latent_dim=5)
    >>> decoder = networks.bernoulli_decoder(latent_dim=5, hidden=100, n_pixels=784)
    >>> vae = VAE(encoder, decoder)
    >>> print(round(float(vae.elbo(digits.x_test).mean())))  # nats: p(x_i) = 1/2
    -543
    >>> vae.compile(keras.optimizers.Adagrad(0.05))
    >>> history = vae.fit(digits.x_train, batch_size=20, epochs=5, verbose=0)
    >>> print(vae.elbo(digits.x_test).mean() > -190)  # about -170; independent pixels: -207
    True
    >>> vae.sample(16).shape  # digits to look at
    (16, 784)
    """

    SETTINGS = (*AutoEncoder.SETTINGS, "kl_weight")

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        prior: tfd.Distribution | Learned | None = None,
        *,
        estimator: str | None = None,
        n_samples: int = 1,
        weight_decay: float = 0.0,
        kl_weight: float | keras.optimizers.schedules.LearningRateSchedule = 1.0,
        seed: int | None = None,
        **kwargs: Any,
    ):
        _checks.check_kl_weight(kl_weight, estimator)
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
        self.count_examples(x)
        return self.record_bound(bound, decay, objective)

    def objective(self, bound: Bound) -> Bound:
        """What training maximises: `bound`, with `reconstruction` - w `kl` as its `elbo`."""
        if self.kl_weight == 1:
            return bound
        weight = self.kl_weight
        if not isinstance(weight, float):  # in the graph: one program runs many minibatches
            weight = tf.cast(weight(self.optimizer.iterations), bound.kl.dtype)
        return bound._replace(elbo=bound.reconstruction - weight * bound.kl)

    def check_posterior(self, posterior: tfd.Distribution) -> None:
        """Raise ValueError unless gradients flow through the samples of `posterior`."""
        if posterior.reparameterization_type != tfd.FULLY_REPARAMETERIZED:
            raise ValueError(
                f"the posterior {posterior.name} is not reparameterised, so no gradient flows "
                "through its samples (section 2.4): take a continuous family that TFP "
                "reparameterises, DiagonalGaussian for example"
            )
