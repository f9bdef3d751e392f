"""The models that ship with the package: what is said of them holds on the real data."""

import keras
import numpy as np
import pytest

from vae_keras import datasets, marginal_likelihood, models, pretrained

ALGORITHMS = {
    "aevb": models.VAE,
    "wake_sleep": models.WakeSleep,
    "full_vb": models.FullVB,
    "mcem": models.MonteCarloEM,
}


def test_figures_4_and_5_and_each_algorithm_are_there_and_small():
    names = pretrained.names()
    wanted = {f"aevb-mnist-{size}d" for size in (2, 5, 10, 20)} | {"aevb-frey-face-2d"}
    assert wanted <= set(names)
    assert {pretrained.about(name)["experiment"]["algorithm"] for name in names} == set(ALGORITHMS)
    files = list(pretrained.FOLDER.glob("*.keras"))
    assert sorted(file.stem for file in files) == names
    assert sum(file.stat().st_size for file in files) < 12e6


@pytest.mark.parametrize("name", pretrained.names())
def test_a_model_is_what_it_is_called_and_has_learned(name):
    told = pretrained.about(name)
    settings = told["experiment"]
    model = pretrained.load(name)
    assert type(model) is ALGORITHMS[settings["algorithm"]]
    assert model.samples_evaluated == told["samples"] >= settings["samples"]
    assert not model.compiled
    assert model.sample(2, mean=True).shape[1] == (560 if "frey" in name else 784)
    for weight in model.trainable_variables:
        value = weight.numpy()
        np.testing.assert_array_equal(value, value.astype(np.float16).astype(np.float32))
        assert value.ndim < 2 or value.std() > 0.01  # of the first weights


@pytest.mark.long
@pytest.mark.real_data
@pytest.mark.parametrize("name", pretrained.names())
def test_a_model_is_worth_what_is_said(name):
    """On the real test set; half precision costs next to nothing."""
    told = pretrained.about(name)
    data = datasets.load(told["experiment"]["dataset"])
    assert data.sha256 == told["data_sha256"]
    x = data.x_test.astype(np.float32) / 256
    model = pretrained.load(name)
    model.set_evaluation_noise(0)
    if told["experiment"]["algorithm"] == "mcem":
        found = marginal_likelihood.appendix_d(model, x[:1000]).log_likelihood.mean()
        assert found == pytest.approx(told["marginal_log_likelihood"], abs=0.3)
        return
    assert float(model.elbo(x).mean()) == pytest.approx(told["lower_bound"], abs=0.02)
    assert told["lower_bound"] == pytest.approx(told["lower_bound_of_the_run"], abs=0.1)
    higher = {"aevb-mnist-2d": 0.1, "aevb-mnist-20d": 0.7}.get(name)  # read as byte / 255
    if higher:
        found = (model.elbo(data.x_test, n_samples=5) - model.elbo(x, n_samples=5)).mean()
        assert round(float(found), 1) == higher


def test_a_model_can_be_trained_further():
    model = pretrained.load("aevb-mnist-2d")
    model.compile(keras.optimizers.Adam(1e-4))
    before = model.samples_evaluated
    x = datasets.load("mnist_5k").x_train[:200]
    history = model.fit(x, batch_size=100, verbose=0).history
    assert model.samples_evaluated == before + 200
    assert -180 < history["elbo"][0] < -120  # it has learned, and has not forgotten


def test_what_is_told_is_the_callers_own_and_an_unknown_name_is_refused():
    pretrained.about("aevb-mnist-2d")["experiment"]["seed"] = 17
    assert pretrained.about("aevb-mnist-2d")["experiment"]["seed"] == 0
    for ask in (pretrained.about, pretrained.load):
        with pytest.raises(ValueError, match=r"no trained model 'vae': one of aevb-frey-face-2d, "):
            ask("vae")
