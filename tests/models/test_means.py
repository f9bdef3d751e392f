"""Means in one variable: each is what Keras's own `Mean` would be."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from vae_keras.models import _means


@pytest.fixture
def means():
    return _means.made(["loss", "elbo"])


def values(means):
    return [float(mean.result()) for mean in means]


def test_they_are_kerass_means(means):
    rng, own = np.random.default_rng(0), [keras.metrics.Mean(), keras.metrics.Mean()]
    for n in (3, 100, 1):
        loss, elbo = rng.normal(size=()).astype("float32"), rng.normal(size=n).astype("float32")
        _means.add(means, tf.constant(n), [tf.constant(loss), tf.constant(elbo)])
        own[0].update_state(loss, sample_weight=n)
        own[1].update_state(elbo)
    np.testing.assert_allclose(values(means), values(own), rtol=1e-6)
    assert [float(mean.count) for mean in means] == [104, 104]


def test_each_may_be_updated_as_in_keras(means):
    _means.add(means, tf.constant(2), [tf.constant(5.0), tf.constant([1.0, 3.0])])
    own = [keras.metrics.Mean(), keras.metrics.Mean()]
    own[0].update_state([5.0, 5.0])
    own[1].update_state([1.0, 3.0])
    for mean in (means[1], own[1]):
        mean.update_state(7.0)
        mean.update_state([8.0, 4.0], sample_weight=[0.5, 2.0])
    assert values(means) == values(own)
    with pytest.raises(ValueError, match=r"elbo was given values of shape \(1, 2\): give a scalar"):
        means[1].update_state([[1.0, 2.0]])


def test_they_are_0_before_any_datapoint(means):
    """A device may have none of a minibatch, and the mean over none is NaN."""
    _means.add(means, tf.constant(0), [tf.constant(np.nan), tf.zeros(0)])
    assert values(means) == [0, 0]


def test_one_is_reset_without_the_other_or_all_at_once(means):
    _means.add(means, tf.constant(2), [tf.constant(5.0), tf.constant([1.0, 3.0])])
    means[0].reset_state()
    assert values(means) == [0, 2]
    assert [float(mean.count) for mean in means] == [0, 2]
    _means.reset(means)
    assert values(means) == [0, 0]


def test_one_that_is_nan_leaves_the_others_alone(means):
    means[0].update_state(np.nan)
    means[1].update_state([1.0, 3.0])
    np.testing.assert_equal(values(means), [np.nan, 2])
    means[0].reset_state()
    means[0].update_state(5.0)
    assert values(means) == [5, 2]


def test_values_may_be_fewer_or_more_than_datapoints(means):
    """Of a subset, or of each datapoint and sample: the mean is over those that there are."""
    _means.add(means, tf.constant(2), [tf.constant([5.0]), tf.constant([1.0, 2.0, 3.0, 4.0])])
    assert values(means) == [5, 2.5]


def test_keras_finds_their_variable_once(make_vae):
    vae = make_vae()
    assert len(vae.metrics_variables) == 1
    assert list(vae.get_state_tree()["metrics_variables"]) == ["means"]


def test_there_may_be_none():
    """A model may have metrics of its own alone."""
    none = _means.made([])
    _means.add(none, tf.constant(2), [])
    _means.reset(none)
    assert none == []


def test_each_has_a_value(means):
    with pytest.raises(ValueError, match="shorter"):
        _means.add(means, tf.constant(2), [tf.constant(5.0)])
