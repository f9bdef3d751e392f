"""Full variational Bayes (appendix F): a posterior over the decoder's parameters as well."""

import math
from typing import Any

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_keras import _checks, distributions
from vae_keras.models.vae import VAE
from vae_keras.priors import Learned
from vae_keras.typing import Codes, Shape

FIRST_STD = 0.05  # of q(theta), at first
# Adagrad's sums of squares begin at 0.1, against which the gradient of a log variance, a few 10^-4,
# is negligible: it would hardly move in 10^7 samples. In units of ten it does.
UNIT = 10.0


@keras.saving.register_keras_serializable(package="vae_keras")
class FullVB(VAE):
    """A VAE that also learns a posterior q(theta) over the decoder's parameters theta.

    p(theta) = N(0, I), as in appendix F. q(theta) is a diagonal Gaussian. Its means are the
    decoder's own weights. Its variances are exp(10 v), for weights v of this model,
    `log_variances`. Each estimate of the bound draws one theta. The encoder's parameters have a
    point estimate, and only they have `weight_decay`. Training maximises, in nats per datapoint,

        mean_i E_q(theta)[L(x_i; theta)] - KL(q(theta) || p(theta)) / N

    Args:
        encoder, decoder, prior, estimator, n_samples, seed: as in `VAE`.
        n_train: N, the number of training datapoints, over which the KL of q(theta) is spread.
        weight_decay: adds `weight_decay` |phi|^2 / 2 to the loss, over the encoder's parameters.
        kl_weight: as in `VAE`, for the KL of q(z|x) only; the KL of q(theta) has weight 1.
        kwargs: those of `keras.Model`, such as `name`.

    The metrics are those of `VAE`, in nats per datapoint with theta drawn from q(theta), except
    that `kl_parameters` replaces `weight_decay`. It is KL(q(theta) || p(theta)) / N plus the
    encoder's weight decay. `decode()`, `sample()` and `predict()` use the means.

    Raises:
        ValueError: as `VAE` does; for `n_train` below 1; and for a decoder with frozen weights,
            non-trainable state or regularisers.

    >>> from vae_keras import FullVB, datasets, networks
    >>> import keras
    >>> keras.utils.set_random_seed(0)
    >>> digits = datasets.load("mnist_5k")
    >>> encoder = networks.gaussian_encoder(n_pixels=784, hidden=100, latent_dim=5)
    >>> decoder = networks.bernoulli_decoder(latent_dim=5, hidden=100, n_pixels=784)
    >>> model = FullVB(encoder, decoder, n_train=len(digits.x_train))
    >>> model.compile(keras.optimizers.Adagrad(0.05))
    >>> history = model.fit(digits.x_train, batch_size=20, epochs=5, verbose=0)
    >>> print(model.elbo(digits.x_test).mean() > -195)  # about -175; untrained: -543
    True
    """

    METRICS = ("loss", "elbo", "reconstruction", "kl", "kl_parameters")
    SETTINGS = (*VAE.SETTINGS, "n_train")

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        n_train: int,
        prior: tfd.Distribution | Learned | None = None,
        *,
        estimator: str | None = None,
        n_samples: int = 1,
        weight_decay: float = 0.0,
        kl_weight: float | keras.optimizers.schedules.LearningRateSchedule = 1.0,
        seed: int | None = None,
        **kwargs: Any,
    ):
        self.n_train = _checks.count("n_train", n_train)
        super().__init__(
            encoder,
            decoder,
            prior,
            estimator=estimator,
            n_samples=n_samples,
            weight_decay=weight_decay,
            kl_weight=kl_weight,
            seed=seed,
            **kwargs,
        )

    def build(self, input_shape: Shape) -> None:
        """As in `AutoEncoder`; also creates the log variances of q(theta)."""
        if self.built:
            return
        super().build(input_shape)
        theta = self.decoder.trainable_variables
        if not theta or self.decoder.non_trainable_variables or self.decoder.losses:
            raise ValueError(
                "full VB draws all of the decoder's weights from q(theta): give a decoder without "
                "frozen weights, Dropout, BatchNormalization or regularisers"
            )
        self.log_variances = [
            self.add_weight(
                name=f"log_variance_{i}",
                shape=mean.shape,
                initializer=keras.initializers.Constant(2 * math.log(FIRST_STD) / UNIT),
            )
            for i, mean in enumerate(theta)
        ]

    def check_likelihood(self, likelihood: tfd.Distribution) -> None:
        """As in `LatentVariableModel`, and for a decoder whose weights cannot be drawn.

        Raises ValueError for `layers.Conditional`, whose network runs only when x is known.
        """
        super().check_likelihood(likelihood)
        if isinstance(likelihood, distributions.Conditional):
            raise ValueError(
                "full VB draws all of the decoder's weights from q(theta), which it cannot do with "
                "those of layers.Conditional: use VAE, or a decoder without it"
            )

    def q_theta(self) -> list[tfd.Distribution]:
        """Return q(theta), the approximate posterior of the decoder's weights.

        Returns:
            A list with one TFP Gaussian for each trainable variable of the decoder, in their order.
            Its `.mean()` and `.stddev()` have the shape of the variable.

        Raises:
            ValueError: if the decoder has other trainable weights than when the model was made.
        """
        theta = self.decoder.trainable_variables
        if len(theta) != len(self.log_variances):
            raise ValueError(
                f"q(theta) is of {len(self.log_variances)} variables, but {len(theta)} of the "
                "decoder's are trainable now: make a new model, and freeze or add nothing"
            )
        return [
            distributions.Normal(tf.convert_to_tensor(mean), tf.exp(0.5 * UNIT * log_variance))
            for mean, log_variance in zip(theta, self.log_variances, strict=True)
        ]

    def decode_sampled(self, z: Codes, training: bool) -> tfd.Distribution:
        """p(x|z, theta) for a draw theta = mu + sigma zeta, zeta from N(0, I)."""
        theta = [q.sample(seed=self.noise_seed(training)) for q in self.q_theta()]
        likelihood, _ = self.decoder.stateless_call(theta, [], z)
        return likelihood

    def decay(self, variables: list[keras.Variable]) -> tf.Tensor:
        """KL(q(theta) || N(0, I)) / N, and the encoder's `weight_decay` |phi|^2 / 2."""
        del variables  # encoder and decoder have different priors
        prior = tfd.Normal(0.0, 1.0)
        kl = [tf.reduce_sum(tfd.kl_divergence(q, prior)) for q in self.q_theta()]
        return tf.add_n(kl) / self.n_train + super().decay(self.encoder.trainable_variables)
