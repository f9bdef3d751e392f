"""Appendix C's networks, as they are made."""

import keras
import numpy as np
import pytest

from vae_keras import networks


def test_appendix_c_networks_are_drawn_from_n_0_001():
    keras.utils.set_random_seed(0)
    for network, sizes in (
        (networks.gaussian_encoder(784, 500, 20), [(784, 500), (500,), (500, 40), (40,)]),
        (networks.bernoulli_decoder(20, 500, 784), [(20, 500), (500,), (500, 784), (784,)]),
        (networks.gaussian_decoder(2, 200, 560), [(2, 200), (200,), (200, 1120), (1120,)]),
    ):
        weights = network.get_weights()
        assert [w.shape for w in weights] == sizes
        values = np.concatenate([w.ravel() for w in weights])
        assert np.std(values) == pytest.approx(0.01, rel=0.02)
        assert all(np.std(w) > 0 for w in weights)  # biases too
        assert network.get_layer("hidden").activation is keras.activations.tanh
