"""Devices that share each minibatch: which may, and how each of them, a replica, does its part."""

from typing import Any

import keras
import tensorflow as tf

from vae_keras import _noise, _programs
from vae_keras.typing import Minibatch, Seed

DIVIDING = ("MirroredStrategy", "OneDeviceStrategy", "_DefaultDistributionStrategy")


def count(model: Any) -> int:
    """How many devices share a minibatch; ValueError for a way of sharing that is not ours."""
    if keras.distribution.distribution() is not None:
        raise ValueError(
            "keras.distribution does not divide the work of TensorFlow: call "
            "keras.distribution.set_distribution(None) and make the model in the scope of a "
            "tf.distribute.MirroredStrategy"
        )
    strategy = model.distribute_strategy
    devices = strategy.num_replicas_in_sync
    if type(strategy).__name__ not in DIVIDING:
        raise ValueError(
            f"{type(strategy).__name__} is not supported: make the model in the scope of a "
            "tf.distribute.MirroredStrategy, or of none"
        )
    if devices > 1 and not model.divisible:
        raise ValueError(
            f"{type(model).__name__} learns on one device, but here are {devices}: make it "
            "outside the strategy's scope"
        )
    if devices > 1 and model._distribute_strategy is None:
        raise ValueError(
            f"the model was made outside the scope of this strategy of {devices} devices: make "
            "it inside"
        )
    return devices


def by_xla(model: Any, jit_compile: bool | str) -> bool:
    """Whether XLA is to compile a model's steps; ValueError where it cannot, or as in `count`."""
    devices = count(model)
    if jit_compile is True and devices > 1:
        raise ValueError(
            f"jit_compile is True, but XLA cannot compile what {devices} devices share: leave "
            "it at 'auto', or at False"
        )
    if jit_compile == "auto":
        return devices == 1 and _programs.suits_xla(model)
    return bool(jit_compile)


def weighed(loss: tf.Tensor, x: Minibatch) -> tf.Tensor:
    """The mean loss of a part x by its share of the datapoints; of a whole minibatch as it is."""
    if device := _replica():
        n = tf.cast(tf.shape(x)[0], loss.dtype)
        loss *= n / device.all_reduce(tf.distribute.ReduceOp.SUM, n)
    return loss


def seed(of_model: int, number: tf.Tensor, training: bool) -> Seed:
    """The TFP seed, (2,), of draw `number` on this device, for `training` or for evaluation."""
    device, kind = _replica(), 0 if training else 1
    if device is None:
        return _noise.at(of_model, number, branch=kind)
    # A branch each, of which the first is that of one device alone.
    n = device.num_replicas_in_sync
    seeds = [_noise.at(of_model, number, branch=2 * d + kind) for d in range(n)]
    return tf.gather(tf.stack(seeds), device.replica_id_in_sync_group)


def _replica():
    """The context of one of several devices that share a minibatch; else None."""
    context = tf.distribute.get_replica_context()
    return context if context is not None and context.num_replicas_in_sync > 1 else None
