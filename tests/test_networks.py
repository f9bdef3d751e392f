"""Appendix C's networks, as they are made."""

import keras
import numpy as np
import pytest

from vae_keras import layers, networks

MAKERS = [
    (networks.gaussian_encoder, (784, 500, 20), [(784, 500), (500,), (500, 40), (40,)]),
    (networks.bernoulli_decoder, (20, 500, 784), [(20, 500), (500,), (500, 784), (784,)]),
    (networks.gaussian_decoder, (2, 200, 560), [(2, 200), (200,), (200, 1120), (1120,)]),
]


@pytest.mark.parametrize(("make", "sizes", "shapes"), MAKERS)
@pytest.mark.parametrize("stddev", [None, 0.1])
def test_appendix_c_networks_are_drawn_from_n_0_001(make, sizes, shapes, stddev):
    """The hidden layer's biases too; but those of the parameters begin at 0."""
    keras.utils.set_random_seed(0)
    network = make(*sizes) if stddev is None else make(*sizes, stddev=stddev)
    weights = network.get_weights()
    assert [w.shape for w in weights] == shapes
    *drawn, head_bias = weights
    if make is networks.gaussian_encoder:
        drawn[2] = drawn[2][:, :20]  # the means'
    values = np.concatenate([w.ravel() for w in drawn])
    assert np.std(values) == pytest.approx(stddev or 0.01, rel=0.02)
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(len(values))
    assert all(np.std(w) == pytest.approx(stddev or 0.01, rel=0.15) for w in drawn)
    assert not np.any(head_bias)
    assert network.get_layer("hidden").activation is keras.activations.tanh


def test_an_encoder_begins_with_a_variance_of_1_for_every_x():
    encoder = networks.gaussian_encoder(6, 5, 2, stddev=3.0)
    kernel = encoder.get_weights()[2]
    assert np.all(kernel[:, :2])
    assert not np.any(kernel[:, 2:])
    x = np.random.default_rng(0).normal(size=(4, 6))
    np.testing.assert_array_equal(encoder(x).stddev(), np.ones((4, 2)))
    decoder = networks.gaussian_decoder(2, 5, 6, stddev=3.0)
    assert np.all(decoder.get_weights()[2])  # its log variances are drawn


def test_a_scale_of_the_log_variance_slows_its_weights_and_nothing_else():
    """log sigma^2 = s W h + b. So Adagrad, whose steps have one length, moves it s times as far."""
    x = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
    plain, slow = (networks.gaussian_encoder(6, 5, 2, 3, 0.7, scale) for scale in (1.0, 0.1))
    np.testing.assert_array_equal(slow(x).mean(), plain(x).mean())
    np.testing.assert_array_equal(slow(x).stddev(), np.ones((4, 2)))
    log_variance = slow.get_layer("log_variance")
    w, b = np.random.default_rng(1).normal(size=(2, 5, 2)).astype("float32")
    log_variance.set_weights([w, b[0]])
    h = np.tanh(x @ slow.get_weights()[0] + slow.get_weights()[1])
    np.testing.assert_allclose(
        slow(x).stddev(), np.exp((0.1 * h @ w + b[0]) / 2), rtol=1e-4, atol=1e-5
    )
    for scale in (0, -0.1, float("nan")):
        with pytest.raises(ValueError, match=f"log_variance_scale is {scale}, but must be above 0"):
            networks.gaussian_encoder(6, 5, 2, log_variance_scale=scale)


def test_a_deviation_of_0_is_all_zeros_and_one_below_is_refused():
    for make, sizes, _ in MAKERS:
        assert not any(np.any(w) for w in make(*(3 for _ in sizes), stddev=0).get_weights())
        message = f"{make.__name__[-7:]}: stddev is -0.1, but must be at least 0"
        with pytest.raises(ValueError, match=message):
            make(*sizes, stddev=-0.1)


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


def drawn(network):
    """The weights that are drawn: W1, b1 and W2, of an encoder the means' part of it."""
    w1, b1, w2, _ = network.get_weights()
    return [w1, b1, w2[:, : w2.shape[1] // 2] if network.name == "encoder" else w2]


def test_two_networks_of_one_shape_begin_apart():
    """Nor are two layers of one network equal, where they have the same shape."""
    keras.utils.set_random_seed(0)
    for make in (networks.gaussian_encoder, networks.bernoulli_decoder):
        one, other = (make(4, 4, 4) for _ in range(2))
        for a, b in zip(drawn(one), drawn(other), strict=True):
            assert not np.any(a == b)
        hidden, _, head = drawn(one)
        assert hidden.shape == head.shape
        assert not np.any(hidden == head)


@pytest.mark.parametrize(
    "make", [networks.gaussian_encoder, networks.bernoulli_decoder, networks.gaussian_decoder]
)
def test_the_seed_alone_decides_the_weights_where_there_is_one(make):
    """No two weights of a network alike, however many generators are drawn from meanwhile."""

    def weights(seed, of_generators):
        keras.utils.set_random_seed(of_generators)
        return drawn(make(4, 4, 4, seed))

    for a, same, other in zip(weights(1, 0), weights(1, 5), weights(2, 0), strict=True):
        np.testing.assert_array_equal(a, same)
        assert not np.any(a == other)
    hidden, hidden_bias, head = weights(1, 0)
    assert not np.any(hidden == head[:, :4])
    assert not np.any(hidden_bias == hidden[0])
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
