"""Keras 3 layers whose output is a TFP distribution.

Each maps a tensor of unconstrained parameters, usually the output of a `Dense` layer, to a
`tfp.distributions.Distribution` over `event_shape`. Only `Conditional` has weights, those of its
network. The last axis of the input concatenates the kinds of parameters (for example all means,
then all log variances):

    import keras
    import numpy as np
    from vae_keras import layers

    posterior = layers.DiagonalGaussian(20)
    dense = keras.layers.Dense(posterior.params_size)
    encoder = keras.Sequential([keras.Input((784,)), dense, posterior])
    q = encoder(np.zeros((5, 784)))                 # a distribution: q.sample(), q.log_prob(z)

They can end a Sequential, functional or subclassed model. To fit such a model by maximum likelihood
with a plain `compile` and `fit`, use `NegativeLogLikelihood`. Because a distribution is not an
array, call the model, `model(x).mean()`, rather than `model.predict(x)`.

All log densities are in nats, one per datapoint: `log_prob` sums over `event_shape`. All layers
raise ValueError for sizes below 1 and, when called, for parameters with the wrong last axis.

Parameters stay in float32 under mixed precision: log densities are sums over many pixels.
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike
from tensorflow_probability import distributions as tfd

from vae_keras import _checks, distributions
from vae_keras.typing import Parameters, Shape

__all__ = [
    "Bernoulli",
    "Blockwise",
    "Conditional",
    "DiagonalGaussian",
    "DistributionLayer",
    "GaussianMixture",
    "NegativeLogLikelihood",
    "SigmoidMeanGaussian",
    "TFPDistribution",
]

tf.register_tensor_conversion_function(
    tfd.Distribution, lambda value, dtype=None, name=None, as_ref=False: value.mean()
)
_register = keras.saving.register_keras_serializable(package="vae_keras")


class DistributionLayer(keras.layers.Layer):
    """Maps unconstrained parameters to a distribution: base of all layers here, and of your own.

    Input: (batch, ..., *event_shape[:-1], params_size). Output: a distribution with batch shape
    (batch, ...) and event shape `event_shape`, an int or a tuple of ints, all at least 1.

    A subclass must implement:
        params_size: a property, the size of the last axis of the input.
        distribution(params): the distribution, over `event_shape`.

    It may override:
        get_config, from_config: if `__init__` takes more than `event_shape`. To save a model with
            a subclass, register the subclass with Keras.
        build: if the layer has weights.

    It inherits:
        event_shape: the tuple, with all sizes checked.
        call, compute_output_spec: the check of the input, and the tensor that represents a
            distribution in Keras's functional API.

    >>> import tensorflow as tf
    >>> from tensorflow_probability import distributions as tfd
    >>> from vae_keras.layers import DistributionLayer
    >>> class Poisson(DistributionLayer):  # log p(k) = k log r - r - log k!, log r its parameter
    ...     @property
    ...     def params_size(self):
    ...         return self.event_shape[-1]
    ...     def distribution(self, params):
    ...         return tfd.Independent(tfd.Poisson(log_rate=params), len(self.event_shape))
    >>> print(Poisson(3)(tf.zeros((2, 3))).log_prob(tf.zeros(3)).numpy())  # 3 (0 - 1 - 0)
    [-3. -3.]
    """

    def __init__(self, event_shape: int | tuple[int, ...], **kwargs: Any):
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        shape = tuple(event_shape) if isinstance(event_shape, Iterable) else (event_shape,)
        if not shape:
            raise ValueError(
                f"{type(self).__name__}: event_shape is {event_shape}, but must have at least one "
                "size: a latent space has at least one dimension"
            )
        what = f"{type(self).__name__}: a size of event_shape"
        #: The shape of one draw, a tuple of ints.
        self.event_shape = tuple(_checks.count(what, size) for size in shape)

    @property
    def params_size(self) -> int:
        """The size that the last axis of the input must have: the units of the last `Dense`."""
        raise NotImplementedError

    def distribution(self, params: Parameters) -> tfd.Distribution:
        """The distribution with these unconstrained parameters."""
        raise NotImplementedError

    def call(self, params: Parameters) -> tfd.Distribution:
        """The distribution with these parameters, once their shape is checked."""
        self._check(params.shape)
        distribution = self.distribution(params)
        # Keras looks for these before it converts an object to a tensor (here, to the mean).
        distribution.shape = distribution.batch_shape + distribution.event_shape
        distribution.__array__ = None
        return distribution

    def compute_output_spec(self, params: keras.KerasTensor) -> keras.KerasTensor:
        """The tensor that represents the distribution in Keras's functional API."""
        self._check(params.shape)
        batch = params.shape[: len(params.shape) - len(self.event_shape)]
        return keras.KerasTensor((*batch, *self.event_shape), dtype=self.compute_dtype)

    def _check(self, shape):
        expected = (*self.event_shape[:-1], self.params_size)
        if tuple(shape)[-len(expected) :] != expected:
            size = self.params_size
            last = f"{size} channels" if len(expected) > 1 else f"Dense({size})"
            raise ValueError(
                f"{type(self).__name__}({self.event_shape}) needs parameters whose last axes are "
                f"{expected}, but they are of shape {tuple(shape)}: end the network in {last}"
            )

    def _independent(self, distribution):
        events = len(self.event_shape) - len(distribution.event_shape)
        return tfd.Independent(distribution, events) if events else distribution

    def get_config(self) -> dict[str, Any]:
        """The configuration from which Keras recreates the layer."""
        return super().get_config() | {"event_shape": self.event_shape}


@_register
class DiagonalGaussian(DistributionLayer):
    """N(mu, diag sigma^2) with parameters mu and log sigma^2 (appendix C.2).

        log p(y) = -1/2 sum_j [(y_j - mu_j)^2 / sigma_j^2 + log sigma_j^2 + log 2 pi]

    Args:
        event_shape: an int or a tuple of ints; `params_size` is twice its last axis.
        kwargs: those of a Keras layer, such as `name`.

    >>> import tensorflow as tf
    >>> from tensorflow_probability import distributions as tfd
    >>> from vae_keras.layers import DiagonalGaussian
    >>> q = DiagonalGaussian(1)(tf.constant([[0.5, 0.0]]))  # mu = 0.5, log sigma^2 = 0
    >>> p = DiagonalGaussian(1)(tf.zeros((1, 2)))  # N(0, 1)
    >>> print(q.mean().numpy(), tfd.kl_divergence(q, p).numpy())  # KL = 0.5^2 / 2
    [[0.5]] [0.125]
    """

    @property
    def params_size(self) -> int:  # noqa: D102
        return 2 * self.event_shape[-1]

    def distribution(self, params: Parameters) -> tfd.Distribution:  # noqa: D102
        mu, log_variance = tf.split(params, 2, axis=-1)
        return self._independent(distributions.Normal(mu, tf.exp(0.5 * log_variance)))


@_register
class SigmoidMeanGaussian(DiagonalGaussian):
    """N(sigmoid(a), diag sigma^2), parameters a and log sigma^2: the paper's p(x|z) for Frey Face.

    Section 5: appendix C.2 with means in (0, 1), the range of pixels. Log density, arguments and
    `params_size` are those of `DiagonalGaussian`, with mu = sigmoid(a) = 1 / (1 + exp(-a)).

    >>> import tensorflow as tf
    >>> from vae_keras.layers import SigmoidMeanGaussian
    >>> print(SigmoidMeanGaussian(2)(tf.zeros((1, 4))).mean().numpy())
    [[0.5 0.5]]
    """

    def distribution(self, params: Parameters) -> tfd.Distribution:  # noqa: D102
        logits, log_variance = tf.split(params, 2, axis=-1)
        return self._independent(
            distributions.Normal(tf.sigmoid(logits), tf.exp(0.5 * log_variance))
        )


@_register
class Bernoulli(DistributionLayer):
    """Independent Bernoulli pixels with y = sigmoid(logits) (appendix C.1).

    The log density is that of equation 11. As in the paper, it is used for grey pixels x in [0, 1]
    too.

        log p(x) = sum_i [x_i log y_i + (1 - x_i) log(1 - y_i)]

    Args:
        event_shape: an int or a tuple of ints; `params_size` is its last axis.
        kwargs: those of a Keras layer, such as `name`.

    >>> import tensorflow as tf
    >>> from vae_keras.layers import Bernoulli
    >>> p = Bernoulli(2)(tf.zeros((1, 2)))  # y = 1/2
    >>> print(p.log_prob([0.3, 1.0]).numpy().round(3))  # 2 log(1/2)
    [-1.386]
    """

    @property
    def params_size(self) -> int:  # noqa: D102
        return self.event_shape[-1]

    def distribution(self, params: Parameters) -> tfd.Distribution:  # noqa: D102
        return self._independent(distributions.Bernoulli(logits=params, dtype=tf.float32))


def _direction(part, others):
    """A unit vector; for zeros, the first axis."""
    first = tf.one_hot(0, part.shape[-1], 1e-6)
    return tf.math.l2_normalize(part + first, axis=-1)


# Parameters without a bijector of their own in TFP: those bounded by others, and unit vectors.
_OTHERS = {
    "mean_direction": _direction,
    "high": lambda part, others: others["low"] + tf.nn.softplus(part),
    "peak": lambda part, others: (
        others["low"] + tf.sigmoid(part) * (others["high"] - others["low"])
    ),
}


@_register
class TFPDistribution(DistributionLayer):
    """Any family of TFP or of `vae_keras.families`, with each parameter mapped to its domain.

    A scalar family is made independent over `event_shape`; a multivariate family takes the last
    axis as its event:

        TFPDistribution("Laplace", 5)                        # loc, scale: params_size 10
        TFPDistribution("StudentT", 5, fixed={"df": 4.0})    # loc, scale
        TFPDistribution("Normal", 3, fixed={"scale": [0.1, 0.1, 0.5]})    # loc
        TFPDistribution("MultivariateNormalTriL", 5)         # loc, scale_tril: params_size 5 + 15

    The maps are TFP's, for example softplus(s) = log(1 + exp(s)) for a scale. A parameter that must
    exceed another is the other plus a softplus. The log density is the family's.

    Args:
        family: a class of `tfp.distributions` or its name.
        event_shape: an int or a tuple of ints.
        fixed: parameters that are not learned, by name: numbers or arrays of them, in float32,
            saved with the layer.
        kwargs: those of a Keras layer, such as `name`.

    Raises:
        ValueError: for an unknown family, an unknown name in `fixed`, and fixed values that are
            neither numbers nor arrays of them, or do not fit the event or the learned parameters.

    >>> import tensorflow as tf
    >>> from vae_keras.layers import TFPDistribution
    >>> layer = TFPDistribution("Laplace", 2, fixed={"scale": 0.5})  # log p(y) = -2 |y - loc|
    >>> p = layer(tf.zeros((1, 2)))
    >>> print(layer.params_size, p.log_prob([0.0, 1.5]).numpy())
    2 [-3.]
    """

    def __init__(
        self,
        family: str | type[tfd.Distribution],
        event_shape: int | tuple[int, ...],
        fixed: Mapping[str, ArrayLike] | None = None,
        **kwargs: Any,
    ):
        super().__init__(event_shape, **kwargs)
        name = family if isinstance(family, str) else family.__name__
        found: Any = distributions.named(name) if isinstance(family, str) else family
        found = found or keras.saving.get_registered_object(name)
        if not (isinstance(found, type) and issubclass(found, tfd.Distribution)):
            raise ValueError(
                f"unknown family {family!r}: give a class of tfp.distributions or its name"
            )
        self.family = cast(Any, found)  # or mypy takes it for a bare type
        self.fixed = {key: self._constant(key, value) for key, value in (fixed or {}).items()}
        properties = self.family.parameter_properties(dtype=tf.float32)
        if unknown := set(self.fixed) - set(properties):
            raise ValueError(
                f"{name} has no parameter {', '.join(sorted(unknown))}: it has "
                f"{', '.join(properties)}"
            )
        # name: (map of unconstrained numbers and earlier parameters, size of the last axis)
        self._learned: dict[str, tuple[Callable, int]] = {}
        for parameter, property_ in properties.items():
            if parameter in self.fixed or not (property_.is_preferred and property_.is_tensor):
                continue
            self._learned[parameter] = self._map(parameter, property_)
        self._check_fixed()

    def _map(self, parameter, property_):
        """The map of unconstrained numbers and earlier parameters to `parameter`, and its size."""
        try:
            shape = property_.shape_fn(tf.TensorShape(self.event_shape))
        except ValueError as error:  # the number of classes is None
            raise ValueError(
                f"event_shape does not determine the number of {parameter} of a "
                f"{self.family.__name__}: use OneHotCategorical, or write a DistributionLayer"
            ) from error
        is_one = len(shape) < len(self.event_shape)  # one number for the whole vector
        try:
            bijector = property_.default_constraining_bijector_fn()
        except NotImplementedError:
            if parameter not in _OTHERS:
                raise ValueError(
                    f"{self.family.__name__} needs {parameter} in fixed, "
                    f"fixed={{'{parameter}': ...}}: no map from the network's outputs is known"
                ) from None
            constrain, size = _OTHERS[parameter], shape[-1]
        else:
            size = 1 if is_one else int(bijector.inverse_event_shape(shape)[-1])

            def constrain(part, others):
                return bijector(part)

        if is_one:
            return lambda part, others: constrain(part, others)[..., 0], size
        return constrain, size

    def _constant(self, parameter, value):
        """`value` as a number or an array, which can be saved."""
        try:
            array = np.asarray(value)
        except (TypeError, ValueError, NotImplementedError):  # ragged or symbolic
            array = np.asarray(None)
        if array.dtype.kind not in "biuf" or isinstance(value, tf.Variable | keras.Variable):
            raise ValueError(
                f"{self.family.__name__}: the fixed {parameter} is a {type(value).__name__}, but "
                "must be a number or an array of numbers, which can be saved"
            )
        return array.astype(np.float32) if array.ndim else array.item()

    def _check_fixed(self):
        if not (self.fixed and self._learned):
            return
        try:
            made = self.distribution(tf.zeros((*self.event_shape[:-1], self.params_size)))
            if (made.batch_shape, made.event_shape) == ((), self.event_shape):
                return
            why = f"it would be {made}"
        except (ValueError, tf.errors.InvalidArgumentError) as error:
            why = str(error)
        what = ", ".join(f"{name} of shape {np.shape(v)}" for name, v in self.fixed.items())
        raise ValueError(
            f"{self.family.__name__} over events of shape {self.event_shape} cannot have a fixed "
            f"{what}: {why}"
        )

    @property
    def params_size(self) -> int:  # noqa: D102
        return sum(size for _, size in self._learned.values())

    def distribution(self, params: Parameters) -> tfd.Distribution:  # noqa: D102
        parts = tf.split(params, [size for _, size in self._learned.values()], axis=-1)
        values = dict(self.fixed)
        if "dtype" in inspect.signature(self.family).parameters:  # categories default to integers
            values["dtype"] = tf.float32
        for (name, (constrain, _)), part in zip(self._learned.items(), parts, strict=True):
            values[name] = constrain(part, values)
        return self._independent(self.family(**values))

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        name = self.family.__name__
        if self.family not in (distributions.named(name), getattr(tfd, name, None)):
            name = keras.saving.get_registered_name(self.family)
        fixed = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in self.fixed.items()}
        return super().get_config() | {"family": name, "fixed": fixed}


@_register
class GaussianMixture(DistributionLayer):
    """A mixture of diagonal Gaussians; parameters: logits, means, log variances.

        log p(y) = log sum_k softmax(a)_k N(y; mu_k, diag sigma_k^2)

    The numbers a are the logits. Use it as a prior (see `priors.Learned`) or a decoder: its KL has
    no closed form, and it is not reparameterised.

    Args:
        event_shape: d, an int; `params_size` is `components * (1 + 2 * d)`.
        components: the number of Gaussians.
        kwargs: those of a Keras layer, such as `name`.

    Raises:
        ValueError: for fewer than one component, and for an `event_shape` of several sizes.

    >>> import tensorflow as tf
    >>> from vae_keras.layers import GaussianMixture
    >>> layer = GaussianMixture(1, components=2)
    >>> p = layer(tf.constant([[0.0, 0.0, -1.0, 1.0, 0.0, 0.0]]))  # logits, means, log variances
    >>> print(p.mean().numpy(), p.log_prob([0.0]).numpy().round(3))  # log N(0; +-1, 1)
    [[0.]] [-1.419]
    """

    def __init__(self, event_shape: int, components: int, **kwargs: Any):
        super().__init__(event_shape, **kwargs)
        if len(self.event_shape) > 1:
            raise ValueError(f"GaussianMixture({event_shape}): event_shape must be one size")
        self.components = _checks.count("components", components)

    @property
    def params_size(self) -> int:  # noqa: D102
        return self.components * (1 + 2 * self.event_shape[0])

    def distribution(self, params: Parameters) -> tfd.Distribution:  # noqa: D102
        size = self.components * self.event_shape[0]
        logits, mu, log_variance = tf.split(params, [self.components, size, size], axis=-1)
        apart = tf.concat([tf.shape(logits), self.event_shape], 0)
        mu, log_variance = tf.reshape(mu, apart), tf.reshape(log_variance, apart)
        parts = tfd.Independent(distributions.Normal(mu, tf.exp(0.5 * log_variance)), 1)
        return tfd.MixtureSameFamily(tfd.Categorical(logits=logits), parts)

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        (event_shape,) = self.event_shape
        mine = {"event_shape": event_shape, "components": self.components}
        return super().get_config() | mine


@_register
class Blockwise(DistributionLayer):
    """Several decoders in one: parts of x, independent given z, each with a distribution layer.

        log p(x) = sum_k log p_k(x_k)

    The input concatenates the parameters of the parts x_k:

        heads = [Dense(part.params_size)(hidden) for part in (bits, reals)]
        likelihood = Blockwise([bits, reals])(keras.layers.Concatenate()(heads))

    Args:
        layers: distribution layers over vectors, in the order of the parts of x.
        kwargs: those of a Keras layer, such as `name`.

    Raises:
        ValueError: if `layers` is empty, or if an event of one is not a vector.

    >>> import tensorflow as tf
    >>> from vae_keras.layers import Bernoulli, Blockwise, TFPDistribution
    >>> layer = Blockwise([Bernoulli(2), TFPDistribution("Laplace", 1, fixed={"scale": 0.5})])
    >>> p = layer(tf.zeros((1, layer.params_size)))
    >>> print(p.log_prob([0.0, 1.0, 1.5]).numpy().round(3))  # 2 log(1/2) - 2 * 1.5
    [-4.386]
    """

    def __init__(self, layers: Sequence[DistributionLayer], **kwargs: Any):
        if not layers or any(len(layer.event_shape) > 1 for layer in layers):
            raise ValueError("Blockwise needs one distribution layer or more, each over a vector")
        super().__init__(sum(layer.event_shape[0] for layer in layers), **kwargs)
        self.layers = list(layers)

    def build(self, input_shape: Shape) -> None:
        """Do nothing: none of the layers has weights."""

    @property
    def params_size(self) -> int:  # noqa: D102
        return sum(layer.params_size for layer in self.layers)

    def distribution(self, params: Parameters) -> tfd.Distribution:  # noqa: D102
        parts = tf.split(params, [layer.params_size for layer in self.layers], axis=-1)
        return tfd.Blockwise(
            [layer.distribution(part) for layer, part in zip(self.layers, parts, strict=True)]
        )

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        config = super().get_config()
        del config["event_shape"]
        return config | {"layers": [keras.saving.serialize_keras_object(p) for p in self.layers]}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> keras.Layer:
        """Create the layer from its configuration."""
        layers = [keras.saving.deserialize_keras_object(part) for part in config["layers"]]
        return cls(**config | {"layers": layers})


@_register
class Conditional(DistributionLayer):
    """p(x | z, y) over rows [x, y], for conditional models (M2 of Kingma et al., 2014, is one).

    Input: z, of size `params_size`. Output: a distribution over rows [x, y], whose `log_prob` takes
    y from the row and returns log p(x | z, y) in nats. It cannot be sampled, since no y is given:
    call `network` with [z, y]. uint8 rows are counts; those with pixels x are refused.

    Args:
        network: a Keras model from [z, y], one vector, to a distribution over vectors x.
        given: the size of y.
        kwargs: those of a Keras layer, such as `name`.

    Raises:
        ValueError: if `network` has no input sizes yet, or if `given` leaves no z.

    >>> import keras
    >>> import numpy as np
    >>> from vae_keras.layers import Bernoulli, Conditional
    >>> network = keras.Sequential([keras.Input((5,)), Bernoulli(5)])  # its logits are [z, y]
    >>> p = Conditional(network, given=2)(np.zeros((4, 3)))  # z has 3 numbers, y has 2
    >>> print(p.log_prob(np.zeros((4, 7))).numpy().round(3))  # 5 log(1/2)
    [-3.466 -3.466 -3.466 -3.466]
    """

    def __init__(self, network: keras.Model, given: int, **kwargs: Any):
        given = _checks.count("Conditional: given", given)
        if not network.built or not isinstance(network.output_shape, tuple):
            raise ValueError("Conditional: network has no sizes yet: begin it with keras.Input")
        if network.input_shape[-1] <= given:
            raise ValueError(
                f"Conditional: network takes {network.input_shape[-1]} numbers, but must take more "
                f"than the {given} given: [z, y]"
            )
        super().__init__(network.output_shape[-1] + given, **kwargs)
        self.network, self.given = network, given

    def build(self, input_shape: Shape) -> None:
        """Do nothing: the network is built."""

    @property
    def params_size(self) -> int:  # noqa: D102
        return self.network.input_shape[-1] - self.given

    def call(self, params: Parameters, training: bool = False) -> tfd.Distribution:
        """As in `DistributionLayer`; `log_prob` calls the network, in training mode if asked."""
        distribution = super().call(params)
        if training:
            distribution.network = functools.partial(self.network, training=True)
        return distribution

    def compute_output_spec(
        self, params: keras.KerasTensor, training: bool = False
    ) -> keras.KerasTensor:
        """As in `DistributionLayer`."""
        return super().compute_output_spec(params)

    def distribution(self, params: Parameters) -> tfd.Distribution:  # noqa: D102
        return distributions.Conditional(self.network, params, self.event_shape, self.given)

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        config = super().get_config()
        del config["event_shape"]
        network = keras.saving.serialize_keras_object(self.network)
        return config | {"network": network, "given": self.given}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> keras.Layer:
        """Create the layer from its configuration."""
        network = keras.saving.deserialize_keras_object(config["network"])
        return cls(**config | {"network": network})


@_register
class NegativeLogLikelihood(keras.losses.Loss):
    """The negative log-likelihood in nats, for a model that ends in one of these layers.

        loss = -mean_i log p(y_i)

    With weights w_i, by default

        loss = -sum_i w_i log p(y_i) / n

    Args:
        name, reduction, dtype: as in `keras.losses.Loss`.

    Targets y have the distribution's shape; a last axis of size 1 may be left out, as in Keras's
    own losses.

    Raises:
        ValueError: when called, for targets of other shapes.

    >>> import tensorflow as tf
    >>> from vae_keras.layers import Bernoulli, NegativeLogLikelihood
    >>> loss = NegativeLogLikelihood()
    >>> print(loss(tf.ones(5), Bernoulli(1)(tf.zeros((5, 1)))).numpy().round(3))  # log 2
    0.693
    """

    def __call__(
        self, y_true: Any, y_pred: tfd.Distribution, sample_weight: ArrayLike | None = None
    ) -> tf.Tensor:
        """Return the negative log densities after `reduction`."""
        if not isinstance(y_pred, tfd.Distribution):
            raise ValueError(
                f"the model gives a {type(y_pred).__name__}, but this loss needs a distribution: "
                "end the model in a layer of vae_keras.layers, one for each loss"
            )
        y, shape = tf.cast(y_true, y_pred.dtype), y_pred.batch_shape + y_pred.event_shape
        if y.shape.rank == shape.rank - 1 and shape[-1] == 1:
            y = y[..., None]
        elif y.shape.rank == shape.rank + 1 and y.shape[-1] == 1:
            y = y[..., 0]
        if not y.shape.is_compatible_with(shape):
            raise ValueError(
                f"the targets are of shape {tuple(y_true.shape)}, but the distribution "
                f"{y_pred.name} is over {tuple(shape)}: reshape them"
            )
        return super().__call__(y, -y_pred.log_prob(y), sample_weight)

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """The negative log densities, one per datapoint."""
        return y_pred
