"""What stands beside `fit`: single minibatches, measuring, streams, subclasses, the odd input."""

import inspect
import re
import types

import keras
import numpy as np
import pytest
import scipy.sparse
import tensorflow as tf
from oracles.weights import assert_same, precision
from tensorflow_probability import distributions as tfd

from vae_keras import (
    VAE,
    FullVB,
    MonteCarloEM,
    NonFiniteBoundError,
    WakeSleep,
    marginal_likelihood,
    networks,
)
from vae_keras.layers import Bernoulli, DiagonalGaussian


class Tempered(VAE):
    _temperature = 1.0

    def decode(self, z, training=False):
        return super().decode(self._temperature * z, training)


def tempered():
    keras.utils.set_random_seed(0)
    encoder = networks.gaussian_encoder(12, 8, 2, stddev=0.5)
    vae = Tempered(encoder, networks.bernoulli_decoder(2, 8, 12, stddev=0.5))
    vae.compile()
    return vae


def _lora(vae):
    layer = vae.decoder.get_layer("parameters")
    layer.enable_lora(2)
    layer.lora_kernel_b.assign(tf.ones_like(layer.lora_kernel_b))


CHANGES = {
    "lora": _lora,
    "quantize": lambda vae: vae.decoder.get_layer("parameters").quantize("int8"),
    "attribute": lambda vae: setattr(vae, "_temperature", 3.0),
    "prior": lambda vae: setattr(vae, "_prior", tfd.MultivariateNormalDiag([1.0, 1.0])),
    "layer": lambda vae: setattr(vae.decoder.get_layer("hidden"), "activation", keras.ops.sin),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_measures_follows_the_model(change, uneven):
    """Not a program of the model that it was."""

    def measured(vae):
        vae.set_evaluation_noise(0)
        bound = vae.elbo(uneven).mean()
        vae.set_evaluation_noise(0)
        sample = vae.sample(2, mean=True).mean()
        return (
            bound,
            sample,
            marginal_likelihood.importance_sampling(vae, uneven, 20).log_likelihood.mean(),
        )

    vae = tempered()
    before = measured(vae)
    assert measured(vae) == before
    CHANGES[change](vae)
    after = measured(vae)
    for a, b in zip(before, after, strict=True):
        assert abs(a - b) > 1e-5
    vae.set_evaluation_noise(0)
    assert after[0] == pytest.approx(float(tf.reduce_mean(vae.bound(uneven).elbo)), abs=1e-4)


def test_training_makes_no_program_anew(x):
    vae = tempered()
    for _ in range(3):
        vae.elbo(x)
        vae.sample(3)
        vae.fit(x, validation_data=x, verbose=0)
        vae.predict(x, verbose=0)
    programs = [program for *_, program in vae._programs.values()]
    assert len(programs) == 2
    assert [program.experimental_get_tracing_count() for program in programs] == [1, 1]


def test_compile_forgets_and_so_does_a_call(x):
    vae = tempered()
    holder = types.SimpleNamespace(factor=1.0)
    vae.holder, vae.decode = holder, lambda z, training=False: VAE.decode(vae, holder.factor * z)
    first = vae.elbo(x).mean()
    holder.factor = 4.0  # which no program can see
    vae.set_evaluation_noise(0)
    assert vae.elbo(x).mean() == pytest.approx(first, abs=1e-6)
    vae.forget_programs()
    vae.set_evaluation_noise(0)
    second = vae.elbo(x).mean()
    assert abs(second - first) > 1e-4
    loss = vae.evaluate(x, verbose=0)[0]
    holder.factor = 1.0
    vae.compile()
    vae.set_evaluation_noise(0)
    assert vae.elbo(x).mean() == pytest.approx(first, abs=1e-6)
    assert abs(vae.evaluate(x, verbose=0)[0] - loss) > 1e-4


def test_a_single_minibatch_is_learned_from_as_in_fit(make_vae, x):
    one, other = make_vae(), make_vae()
    one.fit(x[:100], shuffle=False, verbose=0)
    logs = other.train_on_batch(x[:100], return_dict=True)
    assert sorted(logs) == ["elbo", "kl", "loss", "reconstruction", "weight_decay"]
    assert_same(one.get_weights(), other.get_weights(), atol=1e-6)
    assert len(other.train_on_batch(x[:100])) == 5


@pytest.mark.parametrize("use", ["train_on_batch", "test_on_batch", "predict_on_batch", "bound"])
@pytest.mark.parametrize("factor", [255, np.nan])
def test_what_reads_one_minibatch_checks_it(use, factor, make_vae, x):
    vae = make_vae()
    before = vae.get_weights()
    for call in (getattr(vae, use), vae):
        with pytest.raises(ValueError, match=r"^pixels lie in|^2,400 of 2,400 values are NaN"):
            call(factor * x)
    assert_same(before, vae.get_weights())


def test_a_minibatch_that_ends_in_nan_is_undone(make_vae, x):
    vae = make_vae(decoder=networks.gaussian_decoder(2, 8, 12))
    vae.train_on_batch(x)
    before = vae.get_weights()
    with pytest.raises(NonFiniteBoundError):
        vae.train_on_batch(1e30 * x)
    assert_same(before, vae.get_weights())


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # Keras: of a generator
def test_a_stream_is_read_as_keras_reads_it(make_vae, x):
    """Nothing is taken from it before training."""
    read, begun = [], []

    def minibatches():
        begun.append(True)
        for k in range(3):
            read.append(k)
            yield x[10 * k : 10 * k + 10]

    stream = tf.data.Dataset.from_generator(
        minibatches, output_signature=tf.TensorSpec((None, 12), tf.float32)
    )
    make_vae().fit(stream, epochs=2, verbose=0)
    assert (read, len(begun)) == ([0, 1, 2, 0, 1, 2], 2)


def test_the_first_epoch_of_a_shuffled_stream_is_keras_own(make_vae, x):
    def stream():
        return tf.data.Dataset.from_tensor_slices(x).shuffle(250, seed=3).batch(50)

    seen = []

    class Seeing(VAE):
        def train_step(self, data):
            seen.append(data.numpy())
            return super().train_step(data)

    keras.utils.set_random_seed(0)
    vae = Seeing(networks.gaussian_encoder(12, 8, 2), networks.bernoulli_decoder(2, 8, 12))
    vae.compile(run_eagerly=True)
    vae.fit(stream(), verbose=0)
    np.testing.assert_array_equal(np.concatenate(seen), np.concatenate(list(stream())))


@pytest.mark.parametrize("count", [0, -5, 2.5, "3"])
def test_counts_out_of_range(count, make_vae, x):
    vae = make_vae()
    for call in (
        lambda: vae.fit(x, batch_size=count, verbose=0),
        lambda: vae.evaluate(x, batch_size=count, verbose=0),
        lambda: vae.predict(x, batch_size=count, verbose=0),
        lambda: vae.elbo(x, batch_size=count),
        lambda: vae.elbo(x, count),
        lambda: vae.bound(x, count),
        lambda: vae.sample(count),
        lambda: marginal_likelihood.importance_sampling(vae, x, count),
        lambda: marginal_likelihood.appendix_d(vae, x, count),
        lambda: networks.gaussian_encoder(12, count, 2),
        lambda: make_vae(n_samples=count),
    ):
        with pytest.raises(ValueError, match=f"is {count!r}, but must be an integer of at least"):
            call()
    assert vae.samples_evaluated == 0


def test_counts_may_be_numpys(x):
    vae = VAE(
        networks.gaussian_encoder(np.int64(12), np.int32(8), np.int64(2)),
        networks.bernoulli_decoder(np.int64(2), np.int64(8), np.int64(12)),
        n_samples=np.int64(3),
    )
    vae.compile()
    vae.fit(x, batch_size=np.int64(50), verbose=0)
    assert vae.elbo(x, np.int64(2)).shape == (200,)
    assert marginal_likelihood.importance_sampling(vae, x[:9], np.int64(30)).error.shape == (9,)
    assert vae.get_config()["n_samples"] == 3


KINDS = {
    "complex": (lambda x: x + 0j, "complex64, but must be real"),
    "strings": (lambda x: x.astype(str), "but must be real"),
    "objects": (lambda x: x.astype(object), "object, but must be real"),
    "masked": (lambda x: np.ma.masked_array(x, x > 0.5), "a masked array"),
    "sparse": (scipy.sparse.csr_matrix, "the data are sparse"),
    "sparse tensor": (tf.sparse.from_dense, "the data are sparse"),
    "ragged": (lambda x: tf.ragged.constant([[0.1], [0.1, 0.2]]), "the data are ragged"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_array_of_numbers(kind, make_vae, x):
    make, message = KINDS[kind]
    vae = make_vae()
    for call in (
        vae.fit,
        vae.elbo,
        vae.bound,
        lambda x: marginal_likelihood.importance_sampling(vae, x, 9),
    ):
        with pytest.raises(ValueError, match=message):
            call(make(x))


def test_a_variable_and_a_stream_are_measured_as_the_array_is(make_vae, x):
    vae = make_vae()
    stream = tf.data.Dataset.from_tensor_slices((x, x)).batch(100)

    def measured(data):
        vae.set_evaluation_noise(0)
        return vae.elbo(data, batch_size=100)

    np.testing.assert_array_equal(measured(tf.Variable(x)), measured(x))
    np.testing.assert_array_equal(measured(stream), measured(x))
    found = [
        marginal_likelihood.importance_sampling(vae, data, 20)[0]
        for data in (x, tf.Variable(x), stream)
    ]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_many_samples_are_taken_in_parts(make_vae, x, monkeypatch):
    asked = []
    vae = make_vae(estimator="IW")
    decode = vae.decode
    monkeypatch.setattr(
        vae, "decode", lambda z, training=False: asked.append(z.shape[0]) or decode(z)
    )
    vae.elbo(x, n_samples=200)
    assert asked == [10_000]  # 50 datapoints at a time


def test_a_model_without_weights_draws_nothing():
    encoder = keras.Sequential([keras.layers.Dense(4), DiagonalGaussian(2)])
    vae = VAE(encoder, networks.bernoulli_decoder(2, 8, 12))
    with pytest.raises(ValueError, match="no weights yet: call it on a datapoint"):
        vae.sample(3)


@pytest.mark.parametrize("name", ["vae.h5", "vae.hdf5"])
def test_hdf5_is_refused(name, make_vae, tmp_path):
    with pytest.raises(ValueError, match=r"would be HDF5, .*save as \.keras"):
        make_vae().save(tmp_path / name)


class WithMore(VAE):
    """A layer and a metric of its own, made as in any Keras model."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.more = keras.layers.Dense(3)
        self.seen = keras.metrics.Sum("seen")

    @property
    def metrics(self):
        return [*super().metrics, self.seen]

    def train_step(self, data):
        self.seen.update_state(tf.shape(data)[0])
        return super().train_step(data) | {"seen": self.seen.result()}


def test_a_subclass_may_add_layers_and_metrics(x):
    vae = WithMore(networks.gaussian_encoder(12, 8, 2), networks.bernoulli_decoder(2, 8, 12))
    vae.compile()
    history = vae.fit(x, verbose=0).history
    assert history["seen"] == [200]


def test_a_compiled_model_that_was_never_fitted_is_saved_whole(make_vae, x, tmp_path, recwarn):
    vae = make_vae()
    vae.save(tmp_path / "vae.keras")
    loaded = keras.saving.load_model(tmp_path / "vae.keras")
    assert not [warning for warning in recwarn if "optimizer" in str(warning.message)]
    loaded.fit(x, verbose=0)


def test_wake_sleep_refuses_to_accumulate(make_vae):
    networks_ = networks.gaussian_encoder(12, 8, 2), networks.bernoulli_decoder(2, 8, 12)
    with pytest.raises(ValueError, match="gradient_accumulation_steps = 2 would merge"):
        WakeSleep(*networks_).compile(keras.optimizers.SGD(0.1, gradient_accumulation_steps=2))


def test_wake_sleep_refuses_a_state_that_two_updates_advance_twice():
    networks_ = networks.gaussian_encoder(12, 8, 2), networks.bernoulli_decoder(2, 8, 12)
    for optimizer, message in (
        (keras.optimizers.Nadam(), "advance Nadam's product of momenta"),
        (keras.optimizers.Adam(use_ema=True), "use_ema=True would average twice"),
    ):
        model = WakeSleep(*networks_)
        with pytest.raises(ValueError, match=message):
            model.compile(optimizer)
        assert not model.compiled
        VAE(*networks_).compile(optimizer)


def test_the_weights_of_encoder_and_decoder_have_paths_of_their_own(make_vae):
    """By which TensorBoard calls their histograms."""
    paths = [weight.path for layer in make_vae().layers for weight in layer.weights]
    assert len(set(paths)) == len(paths)


def test_another_precision_is_refused(make_vae):
    with pytest.raises(ValueError, match="the prior is in float64"):
        make_vae(prior=tfd.MultivariateNormalDiag(np.zeros(2)))
    for other in ("float64", "bfloat16", "float16"):
        message = f"the networks have weights in {other}"
        with precision(other), pytest.raises(ValueError, match=message):
            make_vae(weight_decay=0.1)


def test_a_decoder_with_an_axis_too_many_is_refused():
    parameters = [keras.layers.Dense(6), keras.layers.Reshape((1, 6))]
    decoder = keras.Sequential([keras.Input((2,)), *parameters, Bernoulli(6)])
    with pytest.raises(ValueError, match=r"batch shape \(1, 1\), but needs \(1,\)"):
        VAE(networks.gaussian_encoder(6, 8, 2), decoder)


@pytest.mark.parametrize("model", [VAE, WakeSleep, FullVB])
def test_what_a_model_takes_can_be_read(model):
    """In a tooltip of JupyterLab, and on the page of the reference."""
    parameters = inspect.signature(model).parameters
    assert {"encoder", "decoder", "prior", "estimator", "n_samples", "weight_decay"} <= set(
        parameters
    )
    assert "args" not in parameters
    assert ">>> " in model.__doc__
    for name in set(parameters) - {"kwargs"}:
        assert re.search(rf"\b{name}\b", model.__doc__), name


def test_metrics_are_the_bounds(make_vae):
    for name in ("loss", "metrics", "weighted_metrics"):
        with pytest.raises(ValueError, match="compile\\(\\) without `loss`, `metrics`"):
            make_vae().compile(**{name: ["mae"]})


def test_advice_on_shapes_is_of_the_model(make_vae, x):
    flat, dense, q = keras.layers.Flatten(), keras.layers.Dense(4), DiagonalGaussian(2)
    encoder = keras.Sequential([keras.Input((3, 4, 1)), flat, dense, q])
    pixels, image = keras.layers.Dense(12), keras.layers.Reshape((3, 4, 1))
    decoder = keras.Sequential([keras.Input((2,)), pixels, image, Bernoulli((3, 4, 1))])
    with pytest.raises(ValueError, match=r"reshape them, x\.reshape\(-1, 3, 4, 1\)"):
        make_vae(encoder, decoder).fit([row.reshape(3, 4) for row in x], verbose=0)


def test_monte_carlo_em_counts_the_rows_that_it_would_train_on(x):
    model = MonteCarloEM(networks.bernoulli_decoder(2, 8, 12), 160, leapfrog_steps=1, updates=1)
    model.compile()
    with pytest.raises(ValueError, match=r"on 200 rows, .*n_train=200"):
        model.fit(x, verbose=0)
    with pytest.raises(ValueError, match=r"on 100 rows, .*n_train=100"):
        model.fit(x, validation_split=0.5, verbose=0)
    model.fit(x, validation_split=0.2, verbose=0)
    assert model.examples_seen == 160
