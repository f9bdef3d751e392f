"""What the benchmarks count with; they themselves are run by hand."""

import dataclasses
import sys

import keras
import numpy as np
import pandas as pd
import pytest
from oracles.scripts import load

from vae_keras import datasets, marginal_likelihood, pixels


def test_tasks_go_to_whoever_is_free_the_longest_first():
    makespan = load("benchmarks/speed/scaling.py").makespan
    lengths = [3.0, 5.0, 2.0, 2.0]
    assert makespan(lengths, 1) == 12
    assert makespan(lengths, 2) == 7  # 5 + 2 beside 3 + 2
    assert makespan(lengths, 3) == 5  # 2 + 2 beside 3 and 5
    assert makespan(lengths, 64) == 5


def test_the_products_of_a_step_are_those_of_two_networks():
    """Forward and back: three products a layer, but none for the gradient of the data."""
    module = load("benchmarks/speed/matrix_products.py")
    weights = 784 * 500 + 500 * 40 + 20 * 500 + 500 * 784
    assert module.operations(100, 784, 500, 20) == 2 * 100 * (3 * weights - 784 * 500)
    for a, b in module.products(7, 5, 4, 3, 2):
        assert np.isfinite(a @ b).all()


@pytest.mark.parametrize("rate", ["numpy_rate", "products_rate"])
def test_a_rate_is_of_samples_a_second(rate, monkeypatch):
    """On a clock by which each step takes a millisecond."""
    module = load("benchmarks/speed/matrix_products.py")
    steps = []
    monkeypatch.setattr(module, "_rate", lambda step, batch: steps.append(step) or (step(3), batch))
    assert getattr(module, rate)(8, 5, 4, 3)[1] == 8


@pytest.mark.long
def test_what_is_changed_is_trained_as_any_experiment_but_not_stored(tmp_path, monkeypatch):
    common = load("benchmarks/recipe/common.py")

    class Dark(common.Changed):
        def change(self, model):
            model.decoder.get_layer("parameters").bias.assign(np.full(784, -2.0))

    monkeypatch.setenv("VAE_KERAS_RESULTS", str(tmp_path))
    curve = common.curve(Dark("mnist_5k", 2, 1000, hidden=4))  # all of it in the warm-up
    assert set(curve.split) == {"train", "test", "running"}
    assert (curve.lower_bound > -400).all()  # unchanged it is 784 ln(1/2), -543
    assert not list(tmp_path.iterdir())


def test_a_table_grows_and_keeps_what_is_of_more_seeds(tmp_path):
    update, file = load("benchmarks/recipe/common.py").update, tmp_path / "table.csv"
    for seeds, values in ((3, {1: -1.0, 2: -2.0}), (1, {2: -9.0, 3: -3.0}), (1, {3: -4.0})):
        rows = pd.DataFrame({"samples": values.keys(), "here": values.values(), "seeds": seeds})
        update(file, rows, ["samples"])
    assert pd.read_csv(file).here.tolist() == [-1, -2, -4]


COLUMNS = (
    "project", "metric", "epoch", "samples", "published", "here", "seed", "seconds", "device",
    "source",
)  # fmt: skip
PARAMETERS = {  # as their own code has them, weights and biases
    "keras": 69_076 + 65_089,  # which its page prints
    "pytorch": 785 * 400 + 401 * 40 + 21 * 400 + 401 * 784,
    "flax": 785 * 500 + 501 * 40 + 21 * 500 + 501 * 784,
    "altosaar": (785 + 257 + 257) * 256 + (129 + 257) * 256 + 257 * 784,
}


@pytest.fixture(scope="module")
def published():
    return load("benchmarks/validation/published.py")


@pytest.fixture(scope="module")
def digits():
    return datasets.load("mnist_5k")


def quickly(example, **changed):
    """The same example without compiling anything."""
    without = {"jit_compile": False, "run_eagerly": True}
    return dataclasses.replace(example, compile=example.compile | without, **changed)


@pytest.mark.parametrize("name", PARAMETERS)
def test_an_example_of_others_has_their_size_and_learns(name, published, digits):
    assert set(published.EXAMPLES) == set(PARAMETERS)
    example = published.EXAMPLES[name](digits.x_train, digits.x_test)
    vae, few = example.vae, example.train[:8]
    assert vae.encoder.count_params() + vae.decoder.count_params() == PARAMETERS[name]
    before = vae.bound(example.train[:300]).elbo.numpy().mean()
    if 0 in example.published:  # theirs and ours begin alike
        assert abs(before - example.published[0][0]) < 5
    vae.compile(**quickly(example).compile)
    vae.fit(few, epochs=2, verbose=0)
    assert vae.bound(few).elbo.numpy().mean() > before
    assert max(example.published) <= example.fit["epochs"]


def test_what_is_drawn_once_are_pixels_with_the_intensities_as_probabilities(published):
    grey = np.full((6, 50_000), 51, np.uint8)
    train, validation, test = published.binarised_once(grey, grey[:1])
    assert (len(train), len(validation), len(test)) == (5, 1, 1)
    assert train.dtype == bool
    for part in (train, validation, test):
        np.testing.assert_allclose(part.mean(), 0.2, atol=0.01)


def test_published_numbers_stand_beside_ours(published, digits, monkeypatch):
    def flax(train, test):
        example = published.flax(train[:24], test[:4])
        fit = {"batch_size": 10, "epochs": 2}
        numbers = {1: (-1.0, "there"), 2: (-2.0, "there")}
        return quickly(example, fit=fit, published=numbers)

    monkeypatch.setitem(published.EXAMPLES, "flax", flax)
    table = published.train("flax", 0, digits)
    assert list(table) == [*COLUMNS]
    assert table.samples.tolist() == [20, 40]
    assert table.published.tolist() == [-1, -2]
    assert (table.here < -100).all()
    again = table.assign(here=table.here + 2, seed=1)
    found = published.summary(pd.concat([table, again]))
    np.testing.assert_allclose(found.here, table.here + 1)
    np.testing.assert_allclose(found.difference, table.here + 1 - table.published)
    np.testing.assert_allclose(found.spread, 2**0.5)


def test_a_rerun_replaces_its_rows(published, monkeypatch, tmp_path, capsys):
    def train(name, seed, data):
        values = {"project": name, "seed": seed, "epoch": 1, "samples": 1, "published": -1.0}
        return pd.DataFrame([values | {"here": data}])

    monkeypatch.setattr(published, "train", train)
    monkeypatch.setattr(published, "TABLE", tmp_path / "table.csv")
    for here, arguments in enumerate(["--seeds 0 1", "--only flax", "--only keras --seeds 1"]):
        monkeypatch.setattr(published.datasets, "load", lambda name, here=here: here)
        monkeypatch.setattr(sys, "argv", ["published.py", *arguments.split()])
        published.main()
    table = pd.read_csv(tmp_path / "table.csv").set_index(["project", "seed"]).here
    assert len(table) == 2 * len(PARAMETERS)
    assert table["flax"].tolist() == [1, 0]
    assert table["keras"].tolist() == [0, 2]
    assert table["pytorch"].tolist() == [0, 0]


@pytest.fixture
def iwae(monkeypatch, tmp_path):
    """With a row after the second and the fourth pass, of few samples."""
    module = load("benchmarks/validation/iwae.py")
    assert module.SAMPLES == 5000
    small = {"ALL_FROM": 4, "SAMPLES": 7, "SAVED_EVERY": 1}
    for name, value in {**small, "TABLE": tmp_path / "iwae.csv"}.items():
        monkeypatch.setattr(module, name, value)
    return module


def test_the_iwae_has_their_size_and_begins_at_the_mean_image(iwae, digits):
    vae = iwae.untrained("IW", 5, 3, digits.x_train)
    assert (vae.estimator, vae.n_samples, vae.seed) == ("IW", 5, 3)
    q, p = ((i + 1) * 200 + 201 * 200 + 201 * o for i, o in ((784, 100), (50, 784)))
    assert (vae.encoder.count_params(), vae.decoder.count_params()) == (q, p)
    # Its last layer's weights are random, but its bias is not.
    mean = digits.x_train.mean(axis=0) / 255
    bias = vae.decoder.layers[-2].bias.numpy()
    np.testing.assert_allclose(1 / (1 + np.exp(-bias)), np.clip(mean, 0.001, 0.999), atol=1e-5)


def test_the_schedule_is_eight_rates_in_3280_passes(iwae):
    assert iwae.ENDS == [1, 4, 13, 40, 121, 364, 1093, 3280]
    rate = iwae.schedule(45)  # three minibatches a pass, the last of them not whole
    begins = [0, *iwae.ENDS]
    for i in range(8):
        for step in (3 * begins[i], 3 * begins[i + 1] - 1):  # of the first and the last
            assert float(rate(step)) == pytest.approx(1e-3 * 10 ** (-i / 7)), (i, step)


def test_pixels_are_drawn_anew_in_each_pass_with_their_probabilities(iwae, digits, monkeypatch):
    vae = iwae.untrained("A", 1, 0, digits.x_train)
    grey = np.tile(np.repeat(np.uint8([0, 51, 153, 255]), 196), (100, 1))
    seen = []
    draw = iwae.Redrawn.minibatch

    def drawn(self, x, rows):
        seen.append(draw(self, x, rows).numpy().reshape(-1, 4, 196))
        return seen[-1].reshape(*rows.shape, 784)

    monkeypatch.setattr(iwae.Redrawn, "minibatch", drawn)
    vae.fit(grey, batch_size=20, epochs=2, verbose=0)
    one, other = (part[:100] for part in seen)
    for part in (one, other):
        assert set(np.unique(part)) == {0, 1}
        np.testing.assert_allclose(part.mean((0, 2)), [0, 0.2, 0.6, 1], atol=0.015)
    # Two draws that have nothing to do with each other, nor have the rows of one.
    apart = [0, 2 * 0.2 * 0.8, 2 * 0.6 * 0.4, 0]
    np.testing.assert_allclose((one != other).mean((0, 2)), apart, atol=0.015)
    np.testing.assert_allclose((one != one[::-1]).mean((0, 2)), apart, atol=0.02)


def test_the_adam_of_their_code_is_the_one_that_it_describes(iwae):
    gradients = np.random.default_rng(0).normal(size=(9, 3)) / 20  # means over 20 digits
    weight = keras.Variable([1.0, -2.0, 0.5])
    adam = iwae.TheirAdam(1.0)
    adam.build([weight])
    expected, mean, mean_square = weight.numpy().astype(float), np.zeros(3), np.ones(3)
    for t, gradient in enumerate(20 * gradients, 1):  # sums; and each step from the moments before
        rate = np.sqrt(1 - 0.999**t) / (1 - 0.99**t)
        expected -= rate * mean / (np.sqrt(mean_square) + 1e-4)
        mean = 0.99 * mean + 0.01 * gradient
        mean_square = 0.999 * mean_square + 0.001 * gradient**2
        adam.apply([keras.ops.cast(gradient / 20, "float32")], [weight])
        np.testing.assert_allclose(weight.numpy(), expected, rtol=1e-5)
    assert np.abs(expected - [1, -2, 0.5]).min() > 1e-3
    # Its settings survive a model that is saved.
    adam.beta_1 = 0.5
    assert iwae.TheirAdam.from_config(adam.get_config()).beta_1 == 0.5


def test_as_theirs_the_order_is_theirs_and_all_weights_come_from_one_seed(
    iwae, digits, monkeypatch, tmp_path
):
    monkeypatch.setattr(iwae, "THEIR_DIGITS", 40)
    few = dataclasses.replace(digits, x_train=digits.x_train[:50], x_test=digits.x_test[:20])
    seen, draw = [], iwae.Redrawn.minibatch
    monkeypatch.setattr(
        iwae.Redrawn,
        "minibatch",
        lambda self, x, rows: [seen.append(np.ravel(rows)), draw(self, x, rows)][1],
    )
    iwae.run("A", 1, 0, [2], few, tmp_path, ["data", "optimizer"])
    assert np.ravel(seen).tolist() == [*range(40), *range(40)]
    row = pd.read_csv(iwae.TABLE).iloc[0]
    assert (row.as_theirs, row.passes, row.learning_rate) == ("optimizer data", 2, 0.00072)
    saved = keras.saving.load_model(tmp_path / "A_1_0_optimizer_data.keras")
    assert isinstance(saved.optimizer, iwae.TheirAdam)

    vae = iwae.untrained("A", 1, 0, few.x_train, ["weights"])
    kernels = [w.numpy() for w in vae.trainable_variables if w.name == "kernel"]
    assert [w.shape for w in kernels] == [
        (784, 200), (200, 200), (200, 50), (200, 50), (50, 200), (200, 200), (200, 784),
    ]  # fmt: skip
    np.testing.assert_array_equal(kernels[2], kernels[3])
    np.testing.assert_array_equal(kernels[1], kernels[5])
    assert np.abs(kernels[0]).max() == pytest.approx(np.sqrt(6 / 984), rel=1e-3)


@pytest.mark.long
def test_a_killed_run_of_the_iwae_goes_on_to_the_same_numbers(iwae, digits, monkeypatch, tmp_path):
    few = dataclasses.replace(digits, x_train=digits.x_train[:50], x_test=digits.x_test[:20])
    save = iwae.save

    def killed(vae, file):
        save(vae, file)
        if iwae.passes(vae, few.x_train) == 3:
            raise KeyboardInterrupt

    iwae.run("A", 1, 0, [2, 4], few, tmp_path / "whole")
    whole = pd.read_csv(iwae.TABLE)
    iwae.TABLE.unlink()
    with monkeypatch.context() as within:
        within.setattr(iwae, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            iwae.run("A", 1, 0, [2, 4], few, tmp_path / "killed")
    keras.utils.set_random_seed(7)  # another process would not go on with this one's generators
    iwae.run("A", 1, 0, [2, 4], few, tmp_path / "killed")
    again = pd.read_csv(iwae.TABLE)
    assert again.passes.tolist() == [2, 4]
    assert again.digits.tolist() == [2, 20]
    assert again.learning_rate.tolist() == [0.00072, 0.00072]
    measured = ["bound", "nll"]
    assert again[measured].equals(whole[measured])
    one, other = (
        keras.saving.load_model(tmp_path / run / "A_1_0.keras") for run in ("whole", "killed")
    )
    for a, b in zip(one.trainable_variables, other.trainable_variables, strict=True):
        np.testing.assert_array_equal(a, b)
    # The likelihood is the kit's, of binary digits, with as many samples.
    binary = pixels.binarised(few.x_test)
    nats = marginal_likelihood.importance_sampling(one, binary, 7).log_likelihood
    assert again.nll.iloc[-1] == pytest.approx(-nats.mean(), abs=1e-4)
