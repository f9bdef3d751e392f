"""The base of all models with an encoder and a decoder, without the training algorithm."""

import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_keras import _checks, distributions
from vae_keras.bounds import ESTIMATORS, Bound
from vae_keras.models import _inputs
from vae_keras.models.latent_variable import LatentVariableModel, datapoints, run, total
from vae_keras.priors import Learned
from vae_keras.typing import Codes, Data, Minibatch, Nats, Shape

MOST_CODES = 10_000  # values of z that `elbo` decodes at a time


class AutoEncoder(LatentVariableModel):
    """A latent-variable model p(z) p(x|z) with an encoder q(z|x), measured by the lower bound.

    Each subclass adds a training algorithm.

    Args:
        encoder: a Keras model with one input that ends in a distribution layer: x of shape
            (M, *input) -> q(z|x). It may be functional, Sequential or subclassed.
        decoder: a Keras model of the same kind: z of shape (M, *latent) -> p(x|z), a distribution
            over `input`.
        prior: p(z), a TFP distribution over `latent` that is saved with the model and not trained,
            or a `priors.Learned`. Default: N(0, I).
        estimator: "B", equation 7, with the KL in closed form; "A", equation 6, for any q and p;
            or "IW", the importance-weighted bound. Default: B, or A with a warning if the KL has
            no closed form.
        n_samples: L, the number of samples of z per datapoint.
        weight_decay: adds `weight_decay` |W|^2 / 2 to the loss, W the weights of both networks that
            have two or more dimensions. Biases, vectors and a learned prior's parameters are
            excluded. 1/N is a prior N(0, I) on these weights, its log density divided by the N
            training points (MAP); 0 is maximum likelihood.
        seed: seed of the noise. Default: drawn from Python's generator, which
            `keras.utils.set_random_seed` seeds.

    Data x of type uint8 are images, read as intensities x / 255. If the decoder is over counts (any
    discrete family other than Bernoulli), they are counts, read unchanged. The metrics are in nats
    per datapoint: `elbo` = `reconstruction` - `kl`, and `loss` = `weight_decay` - `elbo` (plus the
    networks' own regularisers, if any). Targets y are ignored: learning is unsupervised.

    All arguments are fixed once the model is made.

    Raises:
        ValueError: before any training, if the networks do not fit together or the model cannot
            read the data.

    A subclass must implement:
        train_step(data): learn from a minibatch, as described in `Trainer`. It may return the
            result of `record_bound`.

    It may override:
        check_posterior(posterior): raise ValueError for a q(z|x) that the algorithm cannot learn.
        decode_sampled(z, training): p(x|z) in `bound`, for a decoder whose theta is sampled too.
        build(input_shape): to add weights and checks.
        decay(variables): the MAP term.
        METRICS, SETTINGS: to add metrics or arguments.

    It inherits:
        encode, decode, prior, read: q(z|x), p(x|z), p(z), and x as the networks take it.
        bound, loss_of, decay: the bound estimated with fresh samples, the loss, its MAP term.
        record_bound, test_step, call: the metrics, and the steps of `evaluate` and `predict`.
        elbo, score, reconstruct, sample: for users to call.
        fit, noise_seed, scaled, count_examples: all that `LatentVariableModel` and `Trainer` have.

    A new algorithm is therefore one method. For example, the score-function estimator, which
    section 2.2 calls naive, has grad E_q[f(z)] = E_q[f(z) grad log q(z|x)],
    f(z) = log p(x, z) - log q(z|x):

    >>> import numpy as np
    >>> import tensorflow as tf
    >>> from vae_keras import networks
    >>> from vae_keras.bounds import Bound
    >>> from vae_keras.models import AutoEncoder, datapoints
    >>> class ScoreFunction(AutoEncoder):
    ...     def train_step(self, data):
    ...         x = datapoints(data)
    ...         with tf.GradientTape() as tape:
    ...             q = self.encode(x, training=True)
    ...             z = tf.stop_gradient(q.sample(seed=self.noise_seed(training=True)))
    ...             reconstruction = self.decode(z, training=True).log_prob(self.read(x))
    ...             log_q = q.log_prob(z)
    ...             kl = log_q - self.prior.log_prob(z)
    ...             bound = Bound(reconstruction - kl, reconstruction, kl)
    ...             score = tf.reduce_mean(tf.stop_gradient(bound.elbo) * log_q)
    ...             decay = self.decay(self.trainable_variables)
    ...             loss = self.scaled(self.loss_of(bound, decay) - score, x)
    ...         gradients = tape.gradient(loss, self.trainable_variables)
    ...         self.optimizer.apply(gradients, self.trainable_variables)
    ...         self.count_examples(x)
    ...         return self.record_bound(bound, decay)
    >>> encoder, decoder = networks.gaussian_encoder(3, 8, 2), networks.bernoulli_decoder(2, 8, 3)
    >>> model = ScoreFunction(encoder, decoder)
    >>> model.compile(jit_compile=False)
    >>> history = model.fit(np.ones((20, 3)), epochs=2, verbose=0).history
    >>> print(sorted(history), model.samples_evaluated)
    ['elbo', 'kl', 'loss', 'reconstruction', 'weight_decay'] 40
    """

    NETWORKS = ("encoder", "decoder")
    METRICS = ("loss", "elbo", "reconstruction", "kl", "weight_decay")
    SETTINGS = (*LatentVariableModel.SETTINGS, "estimator", "n_samples")

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        prior: tfd.Distribution | Learned | None = None,
        *,
        estimator: str | None = None,
        n_samples: int = 1,
        weight_decay: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ):
        if estimator not in (None, *ESTIMATORS):
            raise ValueError(f"unknown estimator {estimator!r}: one of {', '.join(ESTIMATORS)}")
        n_samples = _checks.count("n_samples (L)", n_samples)
        super().__init__((encoder, decoder), prior, weight_decay, seed, **kwargs)
        self._estimator, self.n_samples = estimator, n_samples
        shape = _checks.input_shape(encoder, "encoder")
        _checks.input_shape(decoder, "decoder")
        if shape is not None and None not in shape[1:]:
            self.build(shape)
            self._tracker.unlock()  # a subclass may add layers and metrics in its own __init__

    def build(self, input_shape: Shape) -> None:
        """Create the networks' weights and check on one datapoint of zeros that they fit."""
        if self.built:
            return
        posterior = self.encoder(tf.zeros((1, *input_shape[1:])))
        _checks.check_distribution(posterior, "encoder")
        if self.prior is None:
            self._prior = distributions.standard_normal(posterior.event_shape)
        _checks.check_events(posterior, self.prior)
        self.check_posterior(posterior)
        _checks.check_support(posterior, self.prior)
        self._choose_estimator(posterior)
        _checks.check_codes(posterior.event_shape, _checks.input_shape(self.decoder, "decoder"))
        self.check_likelihood(self.decoder(posterior.sample(seed=(0, 0))))
        _checks.check_inputs(self.event_shape, input_shape[1:])
        self.built = True

    @property
    def estimator(self) -> str | None:
        """The estimator of the bound in use: "A", "B" or "IW", as in `bounds.ESTIMATORS`.

        If none was given, it is None until `build` chooses one.
        """
        return self._estimator

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Build for the saved input shape. Keras's own method would swallow errors."""
        self.build(config["input_shape"])

    def _choose_estimator(self, posterior):
        if self.estimator in ("A", "IW"):
            return
        missing = f"KL({posterior.name} || {self.prior.name}) in closed form, and TFP has none"
        try:
            tfd.kl_divergence(posterior, self.prior)
            self._estimator = "B"
        except NotImplementedError:
            if self.estimator == "B":
                raise ValueError(f"estimator B needs {missing}: use estimator='A'") from None
            self._estimator = "A"
            warnings.warn(
                f"estimator B would need {missing}: this model uses estimator A. Pass "
                "estimator='A' to silence this warning",
                stacklevel=2,
            )

    def check_posterior(self, posterior: tfd.Distribution) -> None:
        """Raise ValueError if this algorithm cannot learn with `posterior`."""

    def encode(self, x: Minibatch, training: bool = False) -> tfd.Distribution:
        """Return q(z|x), the encoder's distribution.

        Args:
            x: (M, *input), uint8 pixels or numbers.
            training: as in a Keras layer, for Dropout and the like.

        Returns:
            A TFP distribution of batch shape (M,) over `latent`: `.mean()` and `.sample()` are
            (M, *latent).

        >>> import numpy as np
        >>> from vae_keras import VAE, networks
        >>> encoder = networks.gaussian_encoder(3, 8, 2, stddev=0.0)  # q(z|x) = N(0, I) for every x
        >>> vae = VAE(encoder, networks.bernoulli_decoder(2, 8, 3))
        >>> q = vae.encode(np.ones((1, 3)))
        >>> print(q.mean().numpy(), q.stddev().numpy())
        [[0. 0.]] [[1. 1.]]
        """
        return run(self.encoder, self.read(x), training)

    def call(self, x: Minibatch) -> tf.Tensor:
        """Reconstruct x as the mean of p(x|z) at the mean of q(z|x), as `predict` does.

        If q has no mean, its mode (Cauchy) or the mean of samples is used instead.
        """
        return distributions.centre(self.decode(distributions.centre(self.encode(x))))

    def decode_sampled(self, z: Codes, training: bool) -> tfd.Distribution:
        """p(x|z) in the bound: `decode`, unless the decoder's parameters are sampled too."""
        return self.decode(z, training)

    def bound(self, x: Minibatch, n_samples: int | None = None, training: bool = False) -> Bound:
        """Estimate the lower bound and its terms with fresh samples.

        Args:
            x: a minibatch, (M, *input).
            n_samples: L. Default: the model's.
            training: whether networks and noise are those of training.

        Returns:
            A `Bound` of three tensors, each (M,), nats.
        """
        n_samples = self.n_samples if n_samples is None else n_samples
        n_samples = _checks.count("n_samples (L)", n_samples)
        x = self.read(_inputs.checked_values(self, x))
        posterior = self.encode(x, training)
        z = posterior.sample(n_samples, seed=self.noise_seed(training))  # g(epsilon, x), eq. 4
        flat = tf.reshape(z, (-1, *z.shape[2:]))
        repeated = tf.tile(x, [n_samples] + [1] * len(self.event_shape))
        log_likelihood = tf.reshape(
            self.decode_sampled(flat, training).log_prob(repeated), (n_samples, -1)
        )
        return ESTIMATORS[str(self.estimator)](posterior, self.prior, z, log_likelihood)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Estimate the bound of a minibatch with fresh noise."""
        bound = self.bound(datapoints(data))
        return self.record_bound(bound, self.decay(self.trainable_variables))

    def loss_of(self, bound: Bound, decay: tf.Tensor) -> tf.Tensor:
        """The loss, a scalar: `decay` - the mean bound + the networks' own regularisers."""
        return total(decay - tf.reduce_mean(bound.elbo), *self.losses)

    def record_bound(
        self, bound: Bound, decay: tf.Tensor, objective: Bound | None = None
    ) -> dict[str, tf.Tensor]:
        """Add a minibatch's bound to the metrics and return their values.

        Args:
            bound: the result of `bound()`.
            decay: the result of `decay()`.
            objective: the bound to compute the loss from, if another.

        Returns:
            The means since the epoch began, by the name of the metric.
        """
        loss = self.loss_of(bound if objective is None else objective, decay)
        return self.record(tf.shape(bound.elbo)[0], (loss, *bound, decay))

    def elbo(self, x: Data, n_samples: int = 1, batch_size: int = 1000) -> Nats:
        """Estimate the lower bound of log p(x) for each datapoint, with fresh noise.

        Args:
            x: the data, as in `fit()`.
            n_samples: L, the number of samples of z per datapoint.
            batch_size: datapoints at a time, fewer if `n_samples` is large.

        Returns:
            NumPy, (N,), nats.

        Raises:
            ValueError: for numbers below 1, and for data that the model cannot read.

        >>> import numpy as np
        >>> from vae_keras import VAE, networks
        >>> encoder = networks.gaussian_encoder(3, 8, 2, stddev=0.0)  # q(z|x) = N(0, I), so KL = 0
        >>> vae = VAE(encoder, networks.bernoulli_decoder(2, 8, 3, stddev=0.0))  # p(x_i) = 1/2
        >>> print(vae.elbo(np.ones((2, 3))).round(3))  # 3 log(1/2)
        [-2.079 -2.079]
        """
        n_samples = _checks.count("n_samples (L)", n_samples)
        size = min(_checks.count("batch_size", batch_size), max(1, MOST_CODES // n_samples))
        settings = ("elbo", n_samples)
        return self._measured(settings, lambda x: self.bound(x, n_samples).elbo, x, size)

    def score(self, x: Data) -> Nats:
        """Return the value to choose a step size by: the lower bound `elbo(x)` of each datapoint.

        Every model of the library has a score. A `MonteCarloEM` has no bound, and uses log p(x, z).

        Args:
            x: the data, as in `fit()`.

        Returns:
            NumPy, (N,), nats.
        """
        return self.elbo(x)

    def reconstruct(self, x: Data) -> np.ndarray:
        """Reconstruct each datapoint x as the mean of p(x|z) at the mean of q(z|x).

        Args:
            x: the data, as in `fit()`.

        Returns:
            NumPy, (N, *input).

        Raises:
            ValueError: for data that the model cannot read.

        >>> import numpy as np
        >>> from vae_keras import VAE, networks
        >>> decoder = networks.bernoulli_decoder(2, 8, 3, stddev=0.0)  # each p(x_i = 1) = 1/2
        >>> vae = VAE(networks.gaussian_encoder(3, 8, 2), decoder)
        >>> print(vae.reconstruct(np.ones((1, 3))))
        [[0.5 0.5 0.5]]
        """
        return self.predict(x, verbose=0)
