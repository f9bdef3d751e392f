"""The models of lessons 12 and 13, read from their cells, where they are exact.

What they learn is asserted where test_teaching.py runs the lessons.
"""

import keras
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import logsumexp
from tensorflow_probability import distributions as tfd

from vae_keras import layers, priors
from vae_keras.reproduction import paths

pytestmark = pytest.mark.filterwarnings("ignore:.*EMBEDDED DATA stand in")
LESSONS = {
    "later": (
        "12_what_the_paper_left_for_later",
        ("1", "2", "4", "10-stacked", "10", "10-dynamics"),
    ),
    "labels": ("13_few_labels", ("1", "2", "7")),
}


def definitions(lesson):
    """What the lesson defines: its classes, beside what it begins with."""
    name, wanted = LESSONS[lesson]
    file, found = paths.ROOT / "notebooks" / f"{name}.ipynb", {}
    cells = {
        cell.id.rpartition(f"{lesson}-")[2]: cell.source
        for cell in nbformat.read(file, as_version=4).cells
        if cell.cell_type == "code"
    }
    with pytest.MonkeyPatch.context() as patch, plt.rc_context():  # lesson 12 sets a style
        patch.chdir(file.parent)
        for cell in wanted:
            exec(cells[cell], found)
    return found


@pytest.fixture(scope="module")
def defined():
    return definitions("later")


@pytest.fixture(scope="module")
def of_labels():
    return definitions("labels")


def test_a_chain_is_the_product_of_its_steps(defined):
    steps, size, rng = 5, 2, np.random.default_rng(0)
    chain = defined["Chain"](steps, size)
    params = rng.normal(size=(3, steps, size, size + 2)).astype("float32")
    q, z = chain(tf.reshape(params, (3, -1))), rng.normal(size=(3, steps, size)).astype("float32")
    expected, last = 0.0, np.zeros((3, size), "float32")
    for t in range(steps):
        step = params[:, t]
        mean = np.einsum("nij,nj->ni", step[..., :size], last) + step[..., size]
        expected += tfd.Normal(mean, np.exp(step[..., -1])).log_prob(z[:, t]).numpy().sum(-1)
        last = z[:, t]
    np.testing.assert_allclose(q.log_prob(z.reshape(3, -1)), expected, rtol=1e-4)
    assert chain.params_size == params[0].size


def test_with_the_exact_posterior_each_draw_has_the_log_p_of_a_kalman_filter(defined):
    """With one coordinate the chain can be the exact posterior: then nothing is left to chance."""
    steps, a, b, s, c, noise = 6, 0.8, 0.1, 0.5, 1.3, 0.4
    left = (np.eye(steps) - a * np.eye(steps, k=-1)) / s
    precision = left.T @ left + c**2 / noise**2 * np.eye(steps)
    reverse = np.eye(steps)[::-1]
    factor = reverse @ np.linalg.cholesky(reverse @ precision @ reverse).T @ reverse
    x = np.random.default_rng(0).normal(size=(4, steps, 1)).astype("float32")
    prior_mean = np.linalg.solve(left, np.full(steps, b / s))
    residual = (x[..., 0] - c * prior_mean) * c / noise**2
    mean = prior_mean + np.linalg.solve(precision, residual.T).T
    of_last = np.r_[0, -np.diag(factor, -1) / np.diag(factor)[1:]]
    before = np.pad(mean, ((0, 0), (1, 0)))[:, :-1]
    log_s = np.broadcast_to(-np.log(np.diag(factor)), mean.shape)
    params = np.stack([np.broadcast_to(of_last, mean.shape), mean - of_last * before, log_s], -1)
    q = defined["Chain"](steps, 1)(params.reshape(4, -1).astype("float32"))
    prior = priors.Learned(defined["Dynamics"](steps, 1))
    prior.params.assign([a, b, np.log(s)])
    z = q.sample(50, seed=(0, 0))
    seen = tfd.Independent(tfd.Normal(c * z[..., None], noise), 2)
    found = seen.log_prob(x) + prior.now().log_prob(z) - q.log_prob(z)
    moves = tfd.MultivariateNormalDiag([b], [s])
    exact = tfd.LinearGaussianStateSpaceModel(
        steps, [[a]], moves, [[c]], tfd.MultivariateNormalDiag(scale_diag=[noise]), moves
    ).log_prob(x)
    np.testing.assert_allclose(found, np.tile(exact, (50, 1)), atol=1e-3)


def test_m2_sums_over_the_labels_that_it_does_not_know(of_labels):
    """A decoder that ignores z, and the exact q(y|x): then the bound is log p(x)."""
    means = np.random.default_rng(0).normal(size=(10, 3)).astype("float32")
    zeros = np.zeros((2, 3), "float32")  # from z
    encoder = keras.Sequential(
        [keras.Input((13,)), keras.layers.Dense(4, kernel_initializer="zeros")]
    )
    encoder.add(layers.DiagonalGaussian(2))
    of_x = keras.Sequential([keras.Input((12,)), keras.layers.Dense(3)])
    of_x.add(layers.TFPDistribution("Normal", 3, fixed={"scale": 1.0}))
    of_x.layers[0].set_weights([np.concatenate([zeros, means]), np.zeros(3)])
    decoder = keras.Sequential([keras.Input((2,)), layers.Conditional(of_x, given=10)])
    classifier = keras.Sequential([keras.Input((3,)), keras.layers.Dense(10)])
    classifier.layers[0].set_weights([means.T, -0.5 * np.sum(means**2, axis=1)])
    model = of_labels["M2"](encoder, decoder, classifier, seed=0)
    assert {id(w) for w in classifier.trainable_weights} < {
        id(w) for w in model.trainable_variables
    }
    x = np.random.default_rng(1).normal(size=(5, 3)).astype("float32")
    log_p = tfd.MultivariateNormalDiag(means).log_prob(x[:, None]).numpy() - np.log(10)
    unknown = np.concatenate([x, np.zeros((5, 10), "float32")], axis=1)
    np.testing.assert_allclose(model.elbo(unknown), logsumexp(log_p, axis=1), atol=1e-4)
    label = np.eye(10, dtype="float32")[[3]]
    known = np.concatenate([x, np.repeat(label, 5, axis=0)], axis=1)
    log_q = log_p[:, 3] - logsumexp(log_p, axis=1)
    np.testing.assert_allclose(model.elbo(known), log_p[:, 3] + model.WEIGHT * log_q, rtol=1e-4)
