"""The families of section 2.4 that TFP does not have, reparameterised as in the paper.

All are scalar, in float32, with log densities in nats that are -inf outside the support. Parameters
are positive, with shapes that broadcast to (*batch); as in TFP, their values are not checked.
"""

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd
from tensorflow_probability.python.internal.parameter_properties import BIJECTOR_NOT_IMPLEMENTED

from vae_keras.typing import Batch

__all__ = ["FisherF", "Gompertz", "Reciprocal"]

_Property = tfp.util.ParameterProperties


class _Positive(tfd.Distribution):
    """A scalar float32 distribution over positive numbers, with positive parameters.

    A subclass must implement:
        __init__: call `super().__init__(dict(locals()), ...)` before anything else.
        _parameter_properties: a classmethod as in TFP, with a `_Property` for each parameter;
            `_softplus` makes it for parameters that only need to be positive.
        _quantile(u): F^-1(u), differentiable in the parameters; or else _sample_n.
        _log_prob(z): nats; -inf outside the support.

    It may override:
        _sample_n: reparameterised draws, (n, *batch). Here z = F^-1(u), u uniform on (0, 1):
            section 2.4's first approach.
        _cdf: F(z).
        _default_event_space_bijector: onto the support, if that is not all z > 0.

    It inherits:
        the parameters: tensors, as attributes.
        _event_shape: that of a scalar.
        _softplus: for the above to call.
    """

    def __init__(self, parameters: dict, validate_args: bool, allow_nan_stats: bool, name: str):
        del parameters["self"], parameters["__class__"]
        for key in self._parameter_properties(None):
            setattr(self, key, tf.convert_to_tensor(parameters[key], tf.float32))
        super().__init__(
            dtype=tf.float32,
            reparameterization_type=tfd.FULLY_REPARAMETERIZED,
            validate_args=validate_args,
            allow_nan_stats=allow_nan_stats,
            parameters=parameters,
            name=name,
        )

    @classmethod
    def _softplus(cls, *names):
        return {n: _Property(default_constraining_bijector_fn=tfb.Softplus) for n in names}

    def _event_shape(self):
        return tf.TensorShape([])

    def _default_event_space_bijector(self):
        return tfb.Softplus()

    def _sample_n(self, n, seed=None):
        seed = tfp.random.sanitize_seed(seed)
        shape = tf.concat([[n], self.batch_shape_tensor()], 0)
        u = tf.random.stateless_uniform(shape, seed, minval=1e-30, alg="philox")
        return self._quantile(u)  # u = 0 gives z = 0, where other densities are infinite


class Reciprocal(_Positive):
    """The reciprocal distribution, over 0 < low <= z <= high: log z is uniform.

        p(z) = 1 / (z log(high / low))

    Reparameterised by the inverse CDF, z = low (high / low)^u, u uniform on (0, 1).

    Args:
        low, high: the ends of the support, positive, `low` below `high`.
        validate_args, allow_nan_stats, name: as in TFP.

    >>> import math
    >>> from vae_keras.families import Reciprocal
    >>> print(Reciprocal(1.0, math.e).prob([0.5, 2.0]).numpy())  # 0 below `low`; 1 / z
    [0.  0.5]
    """

    def __init__(
        self,
        low: Batch,
        high: Batch,
        validate_args: bool = False,
        allow_nan_stats: bool = True,
        name: str = "Reciprocal",
    ):
        super().__init__(dict(locals()), validate_args, allow_nan_stats, name)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        above_low = _Property(default_constraining_bijector_fn=BIJECTOR_NOT_IMPLEMENTED)
        return cls._softplus("low") | {"high": above_low}

    def _log_ratio(self):
        return tf.math.log(self.high) - tf.math.log(self.low)

    def _log_prob(self, z):
        inside = (z >= self.low) & (z <= self.high)
        safe = tf.where(inside, z, self.low)
        nats = -tf.math.log(safe) - tf.math.log(self._log_ratio())
        return tf.where(inside, nats, -float("inf"))

    def _cdf(self, z):
        inside = tf.clip_by_value(z, self.low, self.high)
        return (tf.math.log(inside) - tf.math.log(self.low)) / self._log_ratio()

    def _quantile(self, u):
        # Rounding must not carry a draw beyond the ends, where the density is 0.
        z = self.low * tf.exp(u * self._log_ratio())
        return tf.clip_by_value(z, self.low, self.high)

    def _default_event_space_bijector(self):
        return tfb.Sigmoid(self.low, self.high)


class Gompertz(_Positive):
    """The Gompertz distribution, over z > 0.

        F(z) = 1 - exp(-c (exp(r z) - 1))
        log p(z) = log(c r) + r z - c (exp(r z) - 1)

    Here c is `concentration` and r is `rate`. Reparameterised by the inverse CDF,
    z = log(1 - log(1 - u) / c) / r, u uniform on (0, 1).

    Args:
        concentration, rate: positive.
        validate_args, allow_nan_stats, name: as in TFP.

    >>> from vae_keras.families import Gompertz
    >>> print(Gompertz(1.0, rate=2.0).prob(0.0).numpy())  # concentration * rate
    2.0
    """

    def __init__(
        self,
        concentration: Batch,
        rate: Batch,
        validate_args: bool = False,
        allow_nan_stats: bool = True,
        name: str = "Gompertz",
    ):
        super().__init__(dict(locals()), validate_args, allow_nan_stats, name)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return cls._softplus("concentration", "rate")

    def _log_prob(self, z):
        rate, concentration = self.rate, self.concentration
        nats = (
            tf.math.log(concentration * rate) + rate * z - concentration * tf.math.expm1(rate * z)
        )
        return tf.where(z < 0, -float("inf"), nats)

    def _cdf(self, z):
        hazard = self.concentration * tf.math.expm1(self.rate * tf.maximum(z, 0.0))
        return -tf.math.expm1(-hazard)

    def _quantile(self, u):
        return tf.math.log1p(-tf.math.log1p(-u) / self.concentration) / self.rate


class FisherF(_Positive):
    """The F distribution, over z > 0.

        p(z) = r^a z^(a - 1) (1 + r z)^-(a + b) / B(a, b)

    Here a = `df1` / 2, b = `df2` / 2, r = `df1` / `df2`, and B(a, b) is the beta function.
    Reparameterised by composition: the ratio of two Gamma variables, each divided by its mean.

    Args:
        df1, df2: the degrees of freedom, positive.
        validate_args, allow_nan_stats, name: as in TFP.

    >>> from vae_keras.families import FisherF
    >>> print(FisherF(2.0, 2.0).prob(1.0).numpy().round(3))  # here 1 / (1 + z)^2
    0.25
    """

    def __init__(
        self,
        df1: Batch,
        df2: Batch,
        validate_args: bool = False,
        allow_nan_stats: bool = True,
        name: str = "FisherF",
    ):
        super().__init__(dict(locals()), validate_args, allow_nan_stats, name)

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return cls._softplus("df1", "df2")

    def _sample_n(self, n, seed=None):
        seeds = tf.unstack(tfp.random.split_seed(seed))
        ones = tf.ones(self.batch_shape_tensor())
        above, below = (
            tfd.Gamma(0.5 * df * ones, 0.5 * df * ones).sample(n, seed=s)
            for df, s in zip((self.df1, self.df2), seeds, strict=True)
        )
        return above / below

    def _log_prob(self, z):
        a, b = 0.5 * self.df1, 0.5 * self.df2
        ratio = tf.math.log(a) - tf.math.log(b)
        safe = tf.where(z > 0, z, 1.0)
        log_odds = ratio + tf.math.log(safe)
        nats = (
            a * log_odds - (a + b) * tf.math.softplus(log_odds) - tf.math.log(safe)
            - tfp.math.lbeta(a, b)
        )  # fmt: skip
        return tf.where(z > 0, nats, -float("inf"))

    def _cdf(self, z):
        scaled = self.df1 * tf.maximum(z, 0.0)
        share, ones = scaled / (scaled + self.df2), tf.ones_like(scaled)  # betainc cannot broadcast
        return tf.math.betainc(0.5 * self.df1 * ones, 0.5 * self.df2 * ones, share)
