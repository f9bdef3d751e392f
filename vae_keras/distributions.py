"""TFP distributions as the library needs them: fast noise, a standard prior, serialisation.

TFP lets TensorFlow choose the noise generator, which is scalar code under XLA on a CPU. Philox,
requested by name, is several times as fast there.
"""

import inspect

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from vae_keras import _philox, families

__all__ = ["Bernoulli", "Beta", "Normal", "standard_normal"]  # layers and models use the others


class Normal(tfd.Normal):
    """TFP's Normal, with noise by Philox.

    Arguments and methods are those of `tfp.distributions.Normal`.

    >>> from vae_keras.distributions import Normal
    >>> print(Normal(0.0, 1.0).sample(3, seed=(0, 0)).shape)
    (3,)
    """

    def _sample_n(self, n, seed=None):
        shape = tf.concat([[n], self.batch_shape_tensor()], 0)
        seed = tfp.random.sanitize_seed(seed)
        noise = tf.random.stateless_normal(shape, seed, dtype=self.dtype, alg="philox")
        return self.loc + self.scale * noise


class Bernoulli(tfd.Bernoulli):
    """TFP's Bernoulli, with noise by Philox.

    Arguments and methods are those of `tfp.distributions.Bernoulli`.

    >>> from vae_keras.distributions import Bernoulli
    >>> Bernoulli(logits=[-20.0, 20.0]).sample(2, seed=(0, 0)).numpy().tolist()
    [[0, 1], [0, 1]]
    """

    def _sample_n(self, n, seed=None):
        probs = self.probs_parameter()
        shape = tf.concat([[n], tf.shape(probs)], 0)
        return tf.cast(_philox.uniform(shape, tfp.random.sanitize_seed(seed)) < probs, self.dtype)


class Beta(tfd.Beta):
    """TFP's Beta, with draws clipped to [1e-6, 1 - 1e-6]: rounding would put some at 0 or 1.

    Arguments and methods are those of `tfp.distributions.Beta`.

    >>> from vae_keras.distributions import Beta
    >>> import numpy as np
    >>> draws = Beta(1e-3, 1e-3).sample(100, seed=(0, 0))  # nearly all at the ends
    >>> bool(np.isfinite(Beta(1e-3, 1e-3).log_prob(draws)).all())
    True
    """

    def _sample_n(self, n, seed=None):
        return tf.clip_by_value(super()._sample_n(n, seed), 1e-6, 1 - 1e-6)


class Conditional(tfd.Distribution):
    """p(x | z, y) over rows [x, y], y of size `given`; `network` maps [z, y] to p(x | z, y)."""

    def __init__(self, network, z, event_shape, given):
        super().__init__(
            z.dtype,
            tfd.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            name="vae_keras.Conditional",
        )
        self.network, self.z, self.event, self.given = network, z, event_shape, given

    def _batch_shape(self):
        return self.z.shape[:-1]

    def _event_shape(self):
        return tf.TensorShape(self.event)

    def _log_prob(self, rows):
        x, y = rows[..., : -self.given], rows[..., -self.given :]
        return self.likelihood(y).log_prob(x)

    def likelihood(self, y):
        """p(x | z, y), for one z and many y too."""
        z, y = self.z + tf.zeros_like(y[..., :1]), y + tf.zeros_like(self.z[..., :1])
        return self.network(tf.concat([z, y], axis=-1))

    def _sample_n(self, n, seed=None):
        raise ValueError(
            "p(x | z, y) has neither draws nor a mean until y is given: call the network of "
            "layers.Conditional with [z, y]"
        )

    def _mean(self):
        self._sample_n(1)


@tfd.RegisterKL(tfd.Independent, tfd.MultivariateNormalLinearOperator)
def _kl_of_independent(q, p, name=None):
    return tfd.kl_divergence(_multivariate(q), p, name=name)


@tfd.RegisterKL(tfd.MultivariateNormalLinearOperator, tfd.Independent)
def _kl_to_independent(q, p, name=None):
    return tfd.kl_divergence(q, _multivariate(p), name=name)


def _multivariate(independent):
    """Independent Gaussians over a vector, as TFP's multivariate Gaussian."""
    one = independent.distribution
    if not isinstance(one, tfd.Normal) or independent.event_shape.rank != 1:
        raise NotImplementedError("no closed form")
    shape = one.batch_shape_tensor()
    return tfd.MultivariateNormalDiag(
        tf.broadcast_to(one.loc, shape), tf.broadcast_to(one.scale, shape)
    )


def standard_normal(event_shape: int | tuple[int, ...]) -> tfd.Distribution:
    """N(0, I), the paper's prior p(z).

    Args:
        event_shape: the shape of one z, an int or a tuple.

    Returns:
        A TFP distribution, which draws by Philox.

    >>> from vae_keras.distributions import standard_normal
    >>> print(standard_normal(2).log_prob([0.0, 0.0]).numpy().round(2))  # -log(2 pi)
    -1.84
    """
    zeros = tf.zeros(event_shape)
    return tfd.Independent(Normal(zeros, tf.ones_like(zeros)), zeros.shape.rank)


def serialize(distribution: tfd.Distribution) -> dict:
    """Describe a TFP distribution, and those nested in it, in plain Python values.

    Raises ValueError for a distribution that TFP does not export by name, or with parameters that
    cannot be saved.
    """
    # TFP's _Independent, of a non-CompositeTensor, is a base of Independent.
    family = type(distribution).__name__.removeprefix("_")
    known = [cls for cls in (named(family), getattr(tfd, family, None)) if cls]
    if not any(type(distribution) in (cls, *cls.__bases__) for cls in known):
        raise ValueError(f"{family} is not a distribution of tfp.distributions: it cannot be saved")
    return {"distribution": family, "parameters": _pack_all(distribution, family)}


def deserialize(config: dict) -> tfd.Distribution:
    """Create the distribution from the result of `serialize`."""
    parameters = {name: _unpack(value) for name, value in config["parameters"].items()}
    family = named(config["distribution"])
    assert family is not None  # `serialize` knew it
    return family(**parameters)


def named(name: str) -> type[tfd.Distribution] | None:
    """The library's distribution of that name, else TFP's, else None."""
    ours = {"Normal": Normal, "Bernoulli": Bernoulli, "Beta": Beta}
    return ours.get(name) or getattr(families, name, None) or getattr(tfd, name, None)


def centre(distribution: tfd.Distribution) -> tf.Tensor:
    """The mean; the mode if the mean is not finite (Cauchy); 100 draws' mean if TFP has no mean.

    NaN parameters give a NaN mean, since their mode has no density.
    """
    try:
        mean = distribution.mean()
    except NotImplementedError:
        return tf.reduce_mean(distribution.sample(100, seed=(0, 0)), axis=0)
    try:
        mode = tf.cast(distribution.mode(), mean.dtype)
        is_there = tf.math.is_finite(distribution.log_prob(mode))
    except NotImplementedError:
        return mean
    events = [1] * distribution.event_shape.rank
    is_there = tf.reshape(is_there, tf.concat([tf.shape(is_there), events], 0))
    return tf.where(tf.math.is_finite(mean) | ~is_there, mean, mode)


def _pack_all(one, what):
    """The parameters of a distribution or bijector, without TFP's functions (its defaults)."""
    return {
        name: _pack(value, f"{what}.{name}")
        for name, value in one.parameters.items()
        if name != "name"
        and value is not None
        and not (inspect.isfunction(value) and value.__module__.split(".")[0] == tfp.__name__)
    }


def _pack(value, what):
    if isinstance(value, tfd.Distribution):
        return serialize(value)
    if isinstance(value, tfb.Bijector):
        name = type(value).__name__.removeprefix("_")
        if not isinstance(value, getattr(tfb, name, ())):
            raise ValueError(
                f"{what} is a {name}, which is not a bijector of TFP: it cannot be saved"
            )
        return {"bijector": name, "parameters": _pack_all(value, name)}
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tf.DType):
        return {"dtype": value.name}
    if isinstance(value, list | tuple):
        return {"list": [_pack(v, what) for v in value]}
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, NotImplementedError):
        array = np.asarray(None)
    if array.dtype == object:
        raise ValueError(f"{what} is a {type(value).__name__}: it cannot be saved")
    return {"array": array.tolist(), "of": array.dtype.name}


def _unpack(value):
    if not isinstance(value, dict):
        return value
    if "distribution" in value:
        return deserialize(value)
    if "bijector" in value:
        parameters = {key: _unpack(part) for key, part in value["parameters"].items()}
        return getattr(tfb, value["bijector"])(**parameters)
    if "dtype" in value:
        return tf.as_dtype(value["dtype"])
    if "list" in value:
        return [_unpack(v) for v in value["list"]]
    return tf.constant(value["array"], value["of"])
