"""TFP distributions as Keras needs them: a standard prior, and a form that can be saved."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions


def standard_normal(event_shape: int | tuple[int, ...]) -> tfd.Distribution:
    """N(0, I) over `event_shape`, the paper's prior p(z)."""
    zeros = tf.zeros(event_shape)
    return tfd.Independent(tfd.Normal(zeros, tf.ones_like(zeros)), zeros.shape.rank)


def serialize(distribution: tfd.Distribution) -> dict:
    """Describe a TFP distribution, and those that it is made of, in plain Python values.

    Raises ValueError for one that TFP does not export by name, or with parameters that are
    neither numbers nor distributions.
    """
    family = type(distribution).__name__
    if getattr(tfd, family, None) is not type(distribution):
        raise ValueError(f"{family} is not a distribution of tfp.distributions: it cannot be saved")
    return {
        "distribution": family,
        "parameters": {
            name: _pack(value, f"{family}.{name}")
            for name, value in distribution.parameters.items()
            if name != "name" and value is not None
        },
    }


def deserialize(config: dict) -> tfd.Distribution:
    """Make the distribution that `serialize` described."""
    parameters = {name: _unpack(value) for name, value in config["parameters"].items()}
    return getattr(tfd, config["distribution"])(**parameters)


def _pack(value, what: str):
    if isinstance(value, tfd.Distribution):
        return serialize(value)
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
    if "dtype" in value:
        return tf.as_dtype(value["dtype"])
    if "list" in value:
        return [_unpack(v) for v in value["list"]]
    return tf.constant(value["array"], value["of"])
