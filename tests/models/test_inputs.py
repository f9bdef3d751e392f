"""What models read: arrays, streams, validation data of every kind, and what is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from oracles.weights import assert_same

from vae_keras.layers import DiagonalGaussian


@pytest.fixture
def x(uneven):
    """With a partial minibatch, for it is here that minibatches are told apart."""
    return uneven


class Rows(keras.utils.PyDataset):
    """Minibatches of 100, plain or with targets."""

    def __init__(self, x, wrap=lambda x: x):
        super().__init__()
        self.x, self.wrap = x, wrap

    def __len__(self):
        return -(-len(self.x) // 100)

    def __getitem__(self, i):
        return self.wrap(self.x[100 * i : 100 * (i + 1)])


def generator(x, wrap=lambda x: x):
    for i in range(0, len(x), 100):
        yield wrap(x[i : i + 100])


def test_validation_split_takes_the_last_rows(make_vae, x):
    x = np.concatenate([x[:200], np.ones((50, 12), "float32")])
    vae = make_vae()
    history = vae.fit(x, validation_split=0.2, verbose=0).history
    assert vae.samples_evaluated == 200
    assert history["val_elbo"][0] == pytest.approx(vae.elbo(x[200:]).mean(), abs=0.1)


@pytest.mark.first(1)
@pytest.mark.parametrize("kind", ["list", "pairs", "uint8"])
def test_inputs_of_every_kind(make_vae, x, kind):
    data = {
        "list": [list(map(float, row)) for row in x],
        "pairs": tf.data.Dataset.from_tensor_slices((x, np.zeros(250))).batch(100),
        "uint8": np.round(255 * x).astype(np.uint8),
    }[kind]
    vae = make_vae()
    history = vae.fit(data, validation_data=data, verbose=0).history
    assert np.isfinite(history["val_elbo"]).all()
    assert vae.evaluate(data, verbose=0)[0] > 0


@pytest.mark.first(1)
@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # Keras: of a generator
@pytest.mark.parametrize("stream", [Rows, generator])
def test_python_streams(make_vae, x, stream):
    def encoder():
        keras.utils.set_random_seed(0)
        layers = [keras.layers.Dense(4), DiagonalGaussian(2)]
        return keras.Sequential(layers)  # not built: only the data say how many pixels there are

    def learned(data, again):
        """The model, its weights, and then its loss of the same data."""
        model = make_vae(encoder(), seed=1)
        model.fit(data, shuffle=False, verbose=0)
        weights = model.get_weights()
        return model, weights, model.evaluate(again, verbose=0, return_dict=True)["loss"]

    _, weights, loss = learned(x, x)
    for wrap in (lambda x: x, lambda x: (x, x[:, 0])):
        streamed, its_weights, its_loss = learned(stream(x, wrap), stream(x, wrap))
        assert_same(weights, its_weights, atol=1e-5)
        assert its_loss == pytest.approx(loss, rel=0.1)
        assert streamed.predict(stream(x, wrap), verbose=0).shape == x.shape


@pytest.mark.parametrize("stream", [Rows, generator])
@pytest.mark.parametrize("use", ["fit", "evaluate", "predict", "validation"])
def test_pixels_out_of_range_in_a_python_stream(make_vae, x, stream, use):
    vae, bad = make_vae(), stream(255 * x)
    call = {
        "validation": lambda: vae.fit(x, validation_data=bad, verbose=0),
    }.get(use) or (lambda: getattr(vae, use)(bad, verbose=0))
    with pytest.raises(ValueError, match=r"pixels lie in .*\[0, 1\]"):
        call()
    not_read_ahead = use == "validation" and stream is Rows
    assert vae.samples_evaluated == (250 if not_read_ahead else 0)


@pytest.mark.first(1)
@pytest.mark.parametrize("stream", [Rows, generator])
def test_a_python_stream_that_turns_bad_later(make_vae, x, stream):
    late = stream(np.concatenate([x[:100], 255 * x]))  # only its second minibatch is bad
    with pytest.raises(ValueError, match=r"pixels lie in .*\[0, 1\]"):
        make_vae().fit(late, verbose=0)


def test_what_is_no_stream_that_keras_reads(make_vae, x):
    with pytest.raises(ValueError, match=r"the data are a dict_values: give an array, a tf\.data"):
        make_vae().fit({"x": x}.values())


@pytest.mark.long
def test_validation_data_of_every_kind(make_vae, x):
    vae = make_vae()
    losses = [
        vae.fit(x, validation_data=data, verbose=0).history["val_loss"][0]
        for data in (x, (x,), (x, None), (x, x), [x, x], list(x), list(x[:2]), Rows(x))
    ]
    assert np.ptp(losses) < 1


@pytest.mark.parametrize("split", [-0.2, 1.0, 1.5])
def test_a_validation_split_out_of_range(make_vae, x, split):
    with pytest.raises(ValueError, match=rf"validation_split is {split}, but must be at least 0"):
        make_vae().fit(x, validation_split=split)


def test_a_validation_split_that_leaves_nothing(make_vae, x):
    with pytest.raises(ValueError, match="divides 1 datapoints into 0 and 1: leave some for both"):
        make_vae().fit(x[:1], validation_split=0.5)


def test_a_validation_split_of_a_stream(make_vae, x):
    stream = tf.data.Dataset.from_tensor_slices(x).batch(100)
    for data in (stream, Rows(x), generator(x)):
        with pytest.raises(ValueError, match="validation_split divides arrays only"):
            make_vae().fit(data, validation_split=0.2)


def test_sample_weights_wherever_they_come(make_vae, x):
    vae, weights = make_vae(), np.ones(250, "float32")
    stream = tf.data.Dataset.from_tensor_slices((x, x, weights)).batch(100)
    for call in (
        lambda: vae.fit(x, sample_weight=weights),
        lambda: vae.fit(x, class_weight={0: 1.0}),
        lambda: vae.fit(stream),
        lambda: vae.fit(Rows(x, lambda x: (x, x, np.ones(len(x))))),
        lambda: vae.fit(generator(x, lambda x: (x, x, np.ones(len(x))))),
        lambda: vae.fit(x, validation_data=(x, x, weights)),
        lambda: vae.evaluate(x, sample_weight=weights),
        lambda: vae.evaluate(stream),
    ):
        with pytest.raises(ValueError, match="takes no sample_weight"):
            call()


def test_a_stream_with_no_epoch_left_is_left_alone(make_vae, x):
    """As in Keras, where a run that has ended is begun again."""
    vae = make_vae()
    stream = tf.data.Dataset.from_tensor_slices(x).batch(50)
    vae.fit(stream, epochs=2, verbose=0)
    assert vae.fit(stream, initial_epoch=2, epochs=2, verbose=0).history == {}
    assert vae.examples_seen == 2 * len(x)
