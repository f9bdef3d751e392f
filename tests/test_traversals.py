"""Traversals beside a linear model, where E[x|z] is known, and what they refuse."""

import numpy as np
import pytest
from oracles.linear_gaussian import LinearGaussian, Plain

from vae_keras import VAE, networks
from vae_keras.layers import TFPDistribution
from vae_keras.traversals import VALUES, traversal

ORACLE = LinearGaussian()


def model():
    return ORACLE.vae(*ORACLE.posterior_map, np.zeros(2))


def test_one_number_moves_and_the_others_are_the_encoders():
    x = ORACLE.draw(1)[0]
    a, c = ORACLE.posterior_map
    centre = a @ x + c
    values = [-2.0, 0.5, 1.0]
    found = traversal(model(), x, values=values)
    assert found.shape == (2, 3, 5)
    for dim in range(2):
        for i, value in enumerate(values):
            z = centre.copy()
            z[dim] = value
            np.testing.assert_allclose(found[dim, i], ORACLE.w @ z + ORACLE.b, atol=1e-4)


def test_which_dimensions_and_their_order():
    x = ORACLE.draw(1)[0]
    every = traversal(model(), x)
    assert every.shape == (2, len(VALUES), 5)
    np.testing.assert_allclose(traversal(model(), x, dims=[1]), every[1:], atol=1e-6)
    np.testing.assert_allclose(traversal(model(), x, dims=(1, 0)), every[::-1], atol=1e-6)


def test_any_model_that_encodes_and_decodes_will_do():
    found = traversal(Plain(w=2.0), np.ones(3, "float32"), dims=[0], values=[0.0, 1.0])
    np.testing.assert_allclose(found, [[[0.6] * 3, [2.6] * 3]], atol=1e-5)  # 2 (z_1 + 0.3)


def test_pixels_are_read_as_the_model_reads_them(make_vae):
    vae, grey = make_vae(), np.arange(12, dtype="uint8") * 20
    read = traversal(vae, (grey / 255).astype("float32"))
    np.testing.assert_allclose(traversal(vae, grey), read, atol=1e-6)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dims": []}, "dims is empty: give some of 0 to 1"),
        ({"dims": [2]}, "no dimension 2: it has 2, numbered from 0 to 1"),
        ({"dims": [-1]}, "no dimension -1"),
        ({"dims": [0.5]}, r"no dimension 0\.5"),
        ({"values": [0.0, np.nan]}, "no density to nan in dimension 0"),
    ],
)
def test_what_is_not_there_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        traversal(model(), ORACLE.draw(1)[0], **given)


def test_one_datapoint_at_a_time():
    for x in (ORACLE.draw(3), ORACLE.draw(1), np.ones(4)):
        with pytest.raises(ValueError, match=r"one datapoint is of shape \(5,\): give one, x\[0\]"):
            traversal(model(), x)


def test_a_value_outside_the_priors_support(any_encoder):
    prior = TFPDistribution("Beta", 2)(np.zeros(4, "float32"))
    vae = VAE(any_encoder(TFPDistribution("Beta", 2)), networks.bernoulli_decoder(2, 8, 12), prior)
    with pytest.raises(ValueError, match=r"no density to 2\.0 in dimension 1"):
        traversal(vae, np.ones(12), dims=[1], values=[0.5, 2.0])
    assert traversal(vae, np.ones(12), values=[0.5]).shape == (2, 1, 12)
