"""Devices that share a minibatch: their noise, and other ways of sharing (two: `test_devices`)."""

import types

import keras
import pytest

from vae_keras import VAE
from vae_keras.models import _replicas


def test_devices_have_a_branch_of_noise_each(make_vae, monkeypatch):
    """Going on with one device after two, none of its noise comes again."""
    vae = make_vae()

    def seeds(n, draws):
        found = set()
        for _ in range(draws):
            draw = int(vae._draws.numpy())
            for device in range(n):
                context = types.SimpleNamespace(
                    num_replicas_in_sync=n, replica_id_in_sync_group=device
                )
                monkeypatch.setattr(_replicas, "_replica", lambda c=context: c if n > 1 else None)
                vae._draws.assign(draw)
                found.add(tuple(vae.noise_seed(training=True).numpy().tolist()))
        return found

    two = seeds(2, 5)
    one = seeds(1, 30)
    assert (len(two), len(one)) == (10, 30)
    assert not two & one


def test_other_ways_of_sharing(make_vae, x, monkeypatch):
    class MultiWorkerMirroredStrategy:
        num_replicas_in_sync = 2

    model = make_vae()
    with monkeypatch.context() as patch:
        patch.setattr(VAE, "distribute_strategy", MultiWorkerMirroredStrategy())
        for call in (model.compile, lambda: model.fit(x), lambda: model.evaluate(x)):
            with pytest.raises(ValueError, match="MultiWorkerMirroredStrategy is not supported"):
                call()
    monkeypatch.setattr(keras.distribution, "distribution", lambda: object())
    with pytest.raises(
        ValueError, match=r"keras.distribution does not divide the work of TensorFl"
    ):
        model.fit(x)
