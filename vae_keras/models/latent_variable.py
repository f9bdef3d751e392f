"""The base of all latent-variable models p(z) p(x|z), for any training algorithm."""

import random
from collections.abc import Callable, Sequence
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_keras import _checks, _programs, _streams, _supports, distributions
from vae_keras.models import _inputs, _means
from vae_keras.models.trainer import Trainer
from vae_keras.pixels import intensities
from vae_keras.typing import Codes, Data, Minibatch, Nats


class LatentVariableModel(Trainer):
    """A prior p(z), a decoder p(x|z), optional further networks, and the MAP term on their weights.

    Args:
        networks: Keras models, in the order of `NETWORKS`.
        prior: p(z), a TFP distribution or a `priors.Learned`; None if `build` creates it.
        weight_decay: adds `weight_decay` |W|^2 / 2 to the loss, W trained weights. Biases, vectors
            and a learned prior's parameters are excluded.
        seed: seed of the noise; None: drawn from Python's generator.

    Networks and settings are fixed, since compiled programs hold them.

    Raises:
        ValueError: for a negative `weight_decay` or an invalid seed.
        AttributeError: if a network or a setting is set again.

    A subclass must implement:
        METRICS: the names of the values that its steps pass to `record`, `loss` first.
        build(input_shape): create the weights, and the prior if it is None; call
            `check_likelihood` with p(x|z) of one z; set `built`.
        train_step(data), test_step(data), call(x): as `Trainer` requires.

    It may override:
        NETWORKS: the names of its networks, which are both attributes and arguments.
        SETTINGS: the names of its other arguments, attributes too. All are saved.
        decode, decay: p(x|z), and the MAP term.

    It inherits:
        prior, decode, sample: p(z), p(x|z), and draws x from both.
        read: x as the networks take it, for the steps to call.
        decay, record: the MAP term; adds a minibatch's values to `metrics`.
        get_config, from_config: save and load what NETWORKS and SETTINGS name.
        fit, evaluate, noise_seed, scaled, count_examples: all that `Trainer` has.
    """

    NETWORKS: tuple[str, ...] = ("decoder",)
    METRICS: tuple[str, ...] = ()
    SETTINGS: tuple[str, ...] = ("prior", "weight_decay", "seed")

    def __init__(
        self,
        networks: tuple[keras.Model, ...],
        prior: tfd.Distribution | keras.Layer | None,
        weight_decay: float,
        seed: int | None,
        **kwargs: Any,
    ):
        if weight_decay < 0:
            raise ValueError(f"weight_decay is {weight_decay}, but must be at least 0")
        if isinstance(prior, tfd.Distribution) and prior.dtype != tf.float32:
            raise ValueError(
                f"the prior is in {prior.dtype.name}, but this model computes in float32: give it "
                "float32 parameters"
            )
        super().__init__(random.randrange(2**31) if seed is None else seed, **kwargs)
        for name, network in zip(self.NETWORKS, networks, strict=True):
            setattr(self, name, network)
        self._prior, self.weight_decay = prior, weight_decay
        self._means = _means.made(self.METRICS)

    @property
    def prior(self) -> tfd.Distribution:
        """p(z), with the current weights if the model learns it; None before `build` creates it."""
        return self._prior.now() if isinstance(self._prior, keras.Layer) else self._prior

    def __setattr__(self, name, value):
        if name in (*self.NETWORKS, *self.SETTINGS) and hasattr(self, name):
            raise AttributeError(
                f"the {name} of a {type(self).__name__} is fixed, because compiled steps hold it: "
                f"make a new model with another {name}; it may share the networks"
            )
        super().__setattr__(name, value)

    def check_likelihood(self, likelihood: tfd.Distribution) -> None:
        """Read from p(x|z), for one z, which data x it models.

        Raises ValueError if it is no distribution, if its batch shape has several axes, or if the
        networks have weights in float64, float16 or bfloat16.
        """
        _checks.check_distribution(likelihood, "decoder")
        self.event_shape = tuple(likelihood.event_shape)
        self.unit_interval = _supports.needs_unit_interval(likelihood)
        self.pixels = _supports.reads_pixels(likelihood)
        self._is_bounded = _supports.is_bounded(likelihood)
        if (likelihood.batch_shape.rank or 0) > 1:
            raise ValueError(
                f"the decoder gives one z a distribution of batch shape {likelihood.batch_shape}, "
                "but needs (1,): its parameters have an axis too many"
            )
        dtypes = {variable.dtype for variable in self.trainable_variables}
        for other in dtypes & {"float64", "float16", "bfloat16"}:
            raise ValueError(
                f"the networks have weights in {other}, but this model computes in float32: make "
                "them under keras.config.set_floatx('float32') and the policy float32 (for mixed "
                "precision mixed_float16 or mixed_bfloat16), without a dtype of their own"
            )

    def density_check(self) -> Callable[[Data], None] | None:
        """A check that raises ValueError for data outside p(x|z)'s support; None if unbounded."""
        return _supports.density_check(self) if self._is_bounded else None

    def read(self, x: Data) -> Minibatch:
        """Convert data x to the networks' float32 input: uint8 pixels / 255, all else unchanged."""
        x = _checks.one_input(x)
        if not self.built:
            _inputs.build_for(self, x.shape)
        return intensities(x, bool(self.pixels))

    def decode(self, z: Codes, training: bool = False) -> tfd.Distribution:
        """Return p(x|z), the decoder's distribution.

        Args:
            z: (M, *latent).
            training: as in a Keras layer, for Dropout and the like.

        Returns:
            A TFP distribution of batch shape (M,) over `input`: `.mean()` is (M, *input),
            `.log_prob(x)` is (M,), nats.

        >>> import numpy as np
        >>> from vae_keras import VAE, networks
        >>> decoder = networks.bernoulli_decoder(2, 8, 3, stddev=0.0)  # each p(x_i = 1) = 1/2
        >>> vae = VAE(networks.gaussian_encoder(3, 8, 2), decoder)
        >>> print(vae.decode(np.zeros((1, 2))).mean().numpy())
        [[0.5 0.5 0.5]]
        """
        return run(self.decoder, z, training)

    def decay(self, variables: list[keras.Variable]) -> tf.Tensor:
        """`weight_decay` |W|^2 / 2: for 1/N, -log N(W; 0, I) / N up to a constant (MAP).

        W are those of `variables` with two or more dimensions. Biases of any shape and
        the weights of a learned p(z) are excluded.
        """
        own = [id(w) for w in getattr(self._prior, "weights", ())]
        weights = [
            w
            for w in variables
            if len(w.shape) > 1 and "bias" not in getattr(w, "name", "") and id(w) not in own
        ]
        if not (self.weight_decay and weights):  # none: a frozen network
            return tf.zeros([])
        return 0.5 * self.weight_decay * tf.add_n([_sum_of_squares(w) for w in weights])

    def record(self, n: tf.Tensor, values: Sequence[tf.Tensor]) -> dict[str, tf.Tensor]:
        """Add `values` of a minibatch of size `n`, scalars or (n,), to the metrics of METRICS."""
        _means.add(self._means, n, values)
        return {mean.name: mean.result() for mean in self._means}

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Means over the datapoints seen since the epoch began."""
        return self._means

    def reset_metrics(self) -> None:
        """As in Keras."""
        _means.reset(self._means)
        for metric in self.metrics:
            if metric not in self._means:
                metric.reset_state()

    def _measured(self, settings: tuple, program: Callable, x: Data, size: int) -> Nats:
        """`program(x)` of each datapoint, (N,), compiled for `settings`, `size` at a time."""
        options = {"jit_compile": False, "reduce_retracing": True}
        compiled = _programs.compiled(self, settings, program, **options)
        with _streams.refusals():
            batches = _streams.minibatches(_inputs.checked(self, x), size)
            return np.concatenate([compiled(batch).numpy() for batch in batches])

    def sample(self, n: int, mean: bool = False) -> np.ndarray:
        """Generate new datapoints: draw z from p(z), then x from p(x|z).

        Args:
            n: the number of datapoints.
            mean: True: give E[x|z] in place of a draw of x, as in figure 5.

        Returns:
            NumPy, (n, *input).

        Raises:
            ValueError: for n below 1, and for a model that has no weights yet.

        >>> from vae_keras import VAE, networks
        >>> decoder = networks.bernoulli_decoder(2, 8, 3, stddev=0.0)  # each p(x_i = 1) = 1/2
        >>> vae = VAE(networks.gaussian_encoder(3, 8, 2), decoder)
        >>> print(vae.sample(2, mean=True))
        [[0.5 0.5 0.5]
         [0.5 0.5 0.5]]
        """
        n = _checks.count("n", n)
        if not self.built:
            raise ValueError(
                "the model has no weights yet: call it on a datapoint, or fit it, before sample()"
            )

        def draw(n):
            likelihood = self.decode(self.prior.sample(n, seed=self.noise_seed()))
            return likelihood.mean() if mean else likelihood.sample(seed=self.noise_seed())

        return _programs.compiled(self, ("sample", mean), draw, jit_compile=False)(n).numpy()

    def get_config(self) -> dict[str, Any]:
        """The configuration from which Keras recreates the model."""
        config = super().get_config()
        for name in (*self.NETWORKS, *self.SETTINGS):
            value = self._prior if name == "prior" else getattr(self, name)
            of_tfp = isinstance(value, tfd.Distribution)
            serialize = distributions.serialize if of_tfp else keras.saving.serialize_keras_object
            config[name] = serialize(value)
        return config

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Self:
        """Create the model from its configuration."""
        made = {}
        for name in (*cls.NETWORKS, *cls.SETTINGS):
            value = config[name]
            if isinstance(value, dict) and "distribution" in value:
                made[name] = distributions.deserialize(value)
            elif isinstance(value, dict):
                made[name] = keras.saving.deserialize_keras_object(value, custom_objects)
        return cls(**config | made)


def run(network: keras.Model, inputs: tf.Tensor, training: bool) -> tfd.Distribution:
    """Call `network`, with its Dropout and BatchNormalization in training mode if `training`."""
    # Keras tells the layers within, even if the network's own call does not take the argument.
    return network(inputs, training=True) if training else network(inputs)


def total(*losses: tf.Tensor) -> tf.Tensor:
    """The sum of scalars in float32; under mixed precision, activity regularisers are not."""
    return tf.add_n([tf.cast(loss, tf.float32) for loss in losses])


def _sum_of_squares(w):
    # On a CPU, XLA adds a matrix's elements one by one but multiplies matrices at full speed:
    # summing by a product with ones saves a tenth of a step.
    squares = tf.reshape(tf.square(w), (-1, w.shape[-1]))
    return tf.reduce_sum(tf.linalg.matvec(squares, tf.ones_like(squares[0])))


def datapoints(data: Any) -> Minibatch:
    """The x of a minibatch x, (x,) or (x, y), the argument of a `train_step`.

    >>> from vae_keras.models import datapoints
    >>> datapoints(("x", "y"))
    'x'
    """
    return keras.utils.unpack_x_y_sample_weight(data)[0]
