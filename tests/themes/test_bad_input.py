"""Bad input ends at once in one sentence that names the value and the way out."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import vae_keras
from vae_keras import marginal_likelihood, networks
from vae_keras.layers import Bernoulli, DiagonalGaussian, TFPDistribution

tfd = tfp.distributions


def spoiled(x, value):
    bad = x.copy()
    bad[3, 4] = value
    return bad


BAD_DATA = {
    "above 1": (lambda x: 255 * x, r"pixels lie in \[.*\], .*\[0, 1\].*divide"),
    "below 0": (lambda x: x - 0.5, r"pixels lie in \[-0\.\d+"),
    "nan": (lambda x: spoiled(x, np.nan), "1 of 2,400 values are NaN or infinite"),
    "inf": (lambda x: spoiled(x, np.inf), "1 of 2,400 values are NaN or infinite"),
    "rank": (lambda x: x.reshape(-1, 3, 4), r"shape \(200, 3, 4\), .*\(n, 12\).*reshape"),
    "shape": (lambda x: x[:, :7], r"shape \(200, 7\), .*\(n, 12\)"),
    "vector": (lambda x: x[0], r"shape \(12\)"),
    "empty": (lambda x: x[:0], "empty"),
    "bits": (lambda x: (x > 0.5).astype("uint8"), r"uint8 data are all 0 or 1, .*x\.astype"),
}


GOOD = np.full((200, 12), 0.5, "float32")
USES = {
    "fit": lambda vae, data: vae.fit(data, verbose=0),
    "validation": lambda vae, data: vae.fit(GOOD, validation_data=(data, None), verbose=0),
    "evaluate": lambda vae, data: vae.evaluate(data, verbose=0),
    "predict": lambda vae, data: vae.predict(data, verbose=0),
    "elbo": lambda vae, data: vae.elbo(data),
    "encode": lambda vae, data: vae.encode(data),
    "estimate": marginal_likelihood.importance_sampling,
}


@pytest.mark.parametrize("name", BAD_DATA)
@pytest.mark.parametrize("use", sorted(USES.keys() - {"encode", "estimate"}))
def test_data_that_the_model_cannot_read(make_vae, x, name, use):
    spoil, message = BAD_DATA[name]
    vae = make_vae()
    with pytest.raises(ValueError, match=message):
        USES[use](vae, spoil(x))
    assert vae.samples_evaluated == 0


@pytest.mark.parametrize("name", sorted(set(BAD_DATA) - {"vector"}))
def test_a_stream_that_begins_badly(make_vae, x, name):
    spoil, message = BAD_DATA[name]  # the first batch of 100 is looked at, and not more
    message = message.replace("2,400", "1,200").replace("200", ".*")
    with pytest.raises(ValueError, match=message):
        make_vae().fit(tf.data.Dataset.from_tensor_slices(spoil(x)).batch(100), verbose=0)


@pytest.mark.parametrize("value", [2.0, -1.0, np.nan, np.inf])
def test_a_stream_that_turns_bad_later(make_vae, x, value):
    stream = tf.data.Dataset.from_tensor_slices(np.concatenate([x, spoiled(x, value)])).batch(100)
    why = r"pixels lie in \[.*a Bernoulli decoder" if np.isfinite(value) else "1 of 1,200 values"
    if value == -1:
        why += r".*: scale them, \(x - min\) / \(max - min\)"
    with pytest.raises(ValueError, match=f"^{why}"):
        make_vae().fit(stream, verbose=0)


def test_a_gaussian_decoder_takes_any_finite_value(make_vae, x):
    vae = make_vae(decoder=networks.gaussian_decoder(2, 8, 12))
    vae.fit(10 * x - 5, verbose=0)
    with pytest.raises(ValueError, match="NaN or infinite"):
        vae.fit(spoiled(x, np.nan), verbose=0)


@pytest.mark.parametrize("size", [0, -1])
def test_sizes_below_one(make_vae, size):
    with pytest.raises(ValueError, match=f"{size}.*at least 1"):
        networks.gaussian_encoder(12, 8, size)
    with pytest.raises(ValueError, match=f"hidden units is {size}.*at least 1"):
        networks.gaussian_encoder(12, size, 2)
    with pytest.raises(ValueError, match=f"inputs is {size}.*at least 1"):
        networks.bernoulli_decoder(size, 8, 12)
    with pytest.raises(ValueError, match=rf"n_samples \(L\) is {size}.*at least 1"):
        make_vae(n_samples=size)
    vae = make_vae()
    with pytest.raises(ValueError, match=rf"n_samples \(L\) is {size}"):
        vae.elbo(np.zeros((1, 12)), n_samples=size)
    with pytest.raises(ValueError, match=f"n is {size}"):
        vae.sample(size)


def test_other_arguments(make_vae, x):
    with pytest.raises(ValueError, match="unknown estimator 'C': one of A, B, IW"):
        make_vae(estimator="C")
    with pytest.raises(ValueError, match=r"weight_decay is -1"):
        make_vae(weight_decay=-1)
    with pytest.raises(ValueError, match="without `loss`, `metrics` and"):
        make_vae(compiled=False).compile("adam", loss="mse")
    with pytest.raises(ValueError, match="no sample_weight"):
        make_vae().fit(x, sample_weight=np.ones(200))


def test_a_prior_of_another_shape(make_vae):
    prior = vae_keras.distributions.standard_normal(3)
    with pytest.raises(ValueError, match=r"prior is over events of shape \(3,\), .*\(2,\)"):
        make_vae(prior=prior)


def test_a_posterior_that_does_not_reparameterise(make_vae, any_encoder):
    for layer in (TFPDistribution("Poisson", 2), Bernoulli(2)):
        with pytest.raises(ValueError, match="not reparameterised"):
            make_vae(any_encoder(layer), estimator="A")


def test_estimator_b_without_a_closed_form(make_vae, any_encoder):
    with pytest.raises(ValueError, match="none: use estimator='A'"):
        make_vae(any_encoder(TFPDistribution("StudentT", 2, fixed={"df": 4.0})), estimator="B")


def test_networks_that_do_not_fit(make_vae, any_decoder):
    with pytest.raises(ValueError, match=r"distribution over \(5,\), .*reads \(12,\)"):
        make_vae(decoder=any_decoder(Bernoulli(5)))
    plain = keras.Sequential([keras.Input((12,)), keras.layers.Dense(4)])
    with pytest.raises(ValueError, match="not a distribution: end it in a layer"):
        make_vae(plain)
    with pytest.raises(ValueError, match="not a distribution: end it in a layer"):
        make_vae(decoder=keras.Sequential([keras.Input((2,)), keras.layers.Dense(12)]))


def several_inputs(kind):
    a, b, q = keras.Input((12,), name="a"), keras.Input((3,), name="b"), DiagonalGaussian(2)
    join, dense = keras.layers.Concatenate(), keras.layers.Dense(4)

    class Pair(keras.Model):
        def call(self, one, other, training=None):
            return q(dense(join([one, other])))

    class Tuple(keras.Model):
        def call(self, both):
            return q(dense(join(both)))

    if kind in ("list", "dict"):
        inputs = [a, b] if kind == "list" else {"a": a, "b": b}
        return keras.Model(inputs, q(dense(join([a, b]))))
    network = {"arguments": Pair, "called": Tuple}[kind]()
    if kind == "called":
        network((np.zeros((1, 12)), np.zeros((1, 3))))
    return network


@pytest.mark.parametrize("kind", ["list", "dict", "arguments", "called"])
def test_a_network_of_several_inputs(make_vae, any_encoder, kind):
    network = several_inputs(kind)
    with pytest.raises(ValueError, match=r"the encoder has 2 inputs, .* one: concatenate"):
        make_vae(network)
    with pytest.raises(ValueError, match=r"the decoder has 2 inputs, .* one: concatenate"):
        make_vae(decoder=network)
    with pytest.raises(ValueError, match=r"the decoder has 2 inputs, .* one: concatenate"):
        vae_keras.MonteCarloEM(network, 10)


SEVERAL = {
    "dict": (lambda x: {"x": x, "condition": x}, "a dict of 2, .* one array: concatenate"),
    "tuple": (lambda x: (x, x), "a tuple of 2, .* one array: concatenate"),
    "list": (lambda x: [x, x[:, :3]], "a list of parts that differ in shape, .* concatenate"),
}


@pytest.mark.parametrize("name", SEVERAL)
@pytest.mark.parametrize("use", sorted(USES.keys() - {"validation"}))
def test_several_inputs(make_vae, x, name, use):
    several, message = SEVERAL[name]
    with pytest.raises(ValueError, match=message):
        USES[use](make_vae(), several(x))


class Batches(keras.utils.PyDataset):
    def __init__(self, batch):
        super().__init__()
        self.batch = batch

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self.batch


@pytest.mark.parametrize("built", [True, False])
@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("dict", lambda data: data),
        ("dict", lambda data: (data,)),
        ("dict", lambda data: (data, np.zeros(200))),
        ("tuple", lambda data: (data,)),
        ("tuple", lambda data: (data, np.zeros(200))),
    ],
)
def test_a_stream_of_several_inputs(make_vae, x, gaussian, name, whole, built):
    several, message = SEVERAL[name]
    dense = keras.layers.Dense(gaussian.params_size)
    vae = make_vae(None if built else keras.Sequential([dense, gaussian]))
    batch = whole(several(x))
    stream = tf.data.Dataset.from_tensors(batch)
    for data in (stream, *([Batches(batch)] if built else [])):
        for use in (vae.fit, vae.evaluate, vae.predict):
            with pytest.raises(ValueError, match=message):
                use(data, verbose=0)
    assert vae.samples_evaluated == 0
