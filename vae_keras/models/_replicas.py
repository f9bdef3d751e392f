"""Devices that share each minibatch: which may, and the part of each (a replica)."""

from typing import Any

import keras
import tensorflow as tf

from vae_keras import _noise, _programs
from vae_keras.typing import Minibatch, Seed

DIVIDING = ("MirroredStrategy", "OneDeviceStrategy", "_DefaultDistributionStrategy")


def count(model: Any) -> int:
    """The number of devices that share a minibatch; ValueError for unsupported sharing."""
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
            f"{type(model).__name__} trains on one device, but the strategy has {devices}: make it "
            "outside the strategy's scope"
        )
    if devices > 1 and model._distribute_strategy is None:
        raise ValueError(
            f"the model was made outside the scope of this strategy of {devices} devices: make "
            "it inside"
        )
    return devices


def by_xla(model: Any, jit_compile: bool | str) -> bool:
    """Whether XLA compiles a model's steps; ValueError if it cannot, or as in `count`."""
    devices = count(model)
    if jit_compile is True and devices > 1:
        raise ValueError(
            f"jit_compile is True, but XLA cannot compile a step that {devices} devices share: "
            "use 'auto' or False"
        )
    if jit_compile == "auto":
        return devices == 1 and _programs.suits_xla(model)
    return bool(jit_compile)


def weighed(loss: tf.Tensor, x: Minibatch) -> tf.Tensor:
    """The mean loss, weighted by a part's share of the datapoints; unchanged on one device."""
    if device := _replica():
        n = tf.cast(tf.shape(x)[0], loss.dtype)
        loss *= n / device.all_reduce(tf.distribute.ReduceOp.SUM, n)
    return loss


def seed(of_model: int, number: tf.Tensor, training: bool) -> Seed:
    """The TFP seed, (2,), of draw `number` on this device, for `training` or for evaluation."""
    device, kind = _replica(), 0 if training else 1
    if device is None:
        return _noise.at(of_model, number, branch=kind)
    # One branch per device; the first device's branch is that of a single device.
    n = device.num_replicas_in_sync
    seeds = [_noise.at(of_model, number, branch=2 * d + kind) for d in range(n)]
    return tf.gather(tf.stack(seeds), device.replica_id_in_sync_group)


def _replica():
    """The replica context if several devices share a minibatch; else None."""
    context = tf.distribute.get_replica_context()
    return context if context is not None and context.num_replicas_in_sync > 1 else None
