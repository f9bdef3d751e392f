"""Appendix C's networks, as they are made."""

import keras
import numpy as np
import pytest

from vae_keras import layers, networks


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


def by_hand(network, x):
    """The parameters that one hidden layer of tanh units gives, in NumPy."""
    w, b, v, c = (weight.astype("float64") for weight in network.get_weights())
    return np.tanh(x @ w + b) @ v + c


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def with_larger_weights(network):
    """The first ones are so small that all would look alike."""
    keras.utils.set_random_seed(1)
    for weight in network.trainable_variables:
        weight.assign(keras.random.normal(weight.shape, stddev=0.7))
    return network


def test_they_give_the_distributions_of_appendix_c():
    x = np.random.default_rng(0).normal(size=(4, 6))
    encoder = with_larger_weights(networks.gaussian_encoder(6, 5, 2))
    q, (mu, log_variance) = encoder(x), np.split(by_hand(encoder, x), 2, axis=1)
    np.testing.assert_allclose(q.mean(), mu, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(q.stddev(), np.exp(log_variance / 2), rtol=1e-4)
    z = x[:, :2]
    decoder = with_larger_weights(networks.bernoulli_decoder(2, 5, 6))
    np.testing.assert_allclose(decoder(z).mean(), sigmoid(by_hand(decoder, z)), rtol=1e-4)
    decoder = with_larger_weights(networks.gaussian_decoder(2, 5, 6))
    p, (logits, log_variance) = decoder(z), np.split(by_hand(decoder, z), 2, axis=1)
    np.testing.assert_allclose(p.mean(), sigmoid(logits), rtol=1e-4)  # bounded, as in section 5
    np.testing.assert_allclose(p.stddev(), np.exp(log_variance / 2), rtol=1e-4)
    assert (encoder.name, decoder.name) == ("encoder", "decoder")


def test_two_networks_of_one_shape_begin_apart():
    """Nor are two layers of one network equal, where they have the same shape."""
    keras.utils.set_random_seed(0)
    one, other = (networks.gaussian_encoder(4, 4, 2) for _ in range(2))
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        assert not np.any(a == b)
    hidden, head = one.get_weights()[0], one.get_weights()[2]
    assert hidden.shape == head.shape
    assert not np.any(hidden == head)


@pytest.mark.parametrize(
    "make", [networks.gaussian_encoder, networks.bernoulli_decoder, networks.gaussian_decoder]
)
def test_the_seed_alone_decides_the_weights_where_there_is_one(make):
    """No two weights of a network alike, however many generators are drawn from meanwhile."""

    def weights(seed, of_generators):
        keras.utils.set_random_seed(of_generators)
        return make(4, 4, 4, seed).get_weights()

    for a, same, other in zip(weights(1, 0), weights(1, 5), weights(2, 0), strict=True):
        np.testing.assert_array_equal(a, same)
        assert not np.any(a == other)
    hidden, hidden_bias, head, head_bias = weights(1, 0)
    assert not np.any(hidden == head[:, :4])
    assert not np.any(hidden_bias == head_bias[:4])
    unseeded = [weights(None, of_generators) for of_generators in (0, 0, 5)]
    assert np.array_equal(unseeded[0][0], unseeded[1][0])
    assert not np.any(unseeded[0][0] == unseeded[2][0])


@pytest.mark.parametrize("size", [0, -1])
def test_sizes_below_one_are_refused(size):
    with pytest.raises(ValueError, match=f"encoder: the number of inputs is {size}, but must be"):
        networks.gaussian_encoder(size, 8, 2)
    with pytest.raises(ValueError, match=f"decoder: the number of hidden units is {size}"):
        networks.gaussian_decoder(2, size, 12)
    networks.mlp(1, 1, layers.Bernoulli(1), "smallest")
