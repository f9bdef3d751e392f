"""The kit's own noise: drawn from the right distribution, and reparameterised as TFP's."""

import json

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

from vae_keras import distributions, families

tfb, tfd = tfp.bijectors, tfp.distributions


@pytest.mark.parametrize("jit_compile", [True, False])
def test_a_gaussian_has_its_cdf_and_its_gradient(jit_compile):
    loc, scale = tf.constant([-1.0, 2.0]), tf.constant([0.5, 3.0])

    @tf.function(jit_compile=jit_compile)
    def draw(loc, scale, seed):
        with tf.GradientTape() as tape:
            tape.watch([loc, scale])
            z = distributions.Normal(loc, scale).sample(20_000, seed=seed)
            mean_square = tf.reduce_sum(tf.reduce_mean(z**2, 0))
        return z, tape.gradient(mean_square, [loc, scale])

    z, gradients = draw(loc, scale, tf.constant([3, 7]))
    for i in range(2):
        assert scipy.stats.kstest(z[:, i], scipy.stats.norm(loc[i], scale[i]).cdf).pvalue > 1e-3
    np.testing.assert_allclose(gradients, [2 * loc, 2 * scale], rtol=0.06)  # of mu^2 + sigma^2
    assert abs(np.corrcoef(z.numpy().T)[0, 1]) < 0.03
    other = draw(loc, scale, tf.constant([3, 8]))[0]
    assert abs(np.corrcoef(z[:, 0], other[:, 0])[0, 1]) < 0.03


@pytest.mark.parametrize("jit_compile", [True, False])
def test_bernoulli_pixels_have_their_means(jit_compile):
    logits = tf.constant([[-2.0, 0.0, 1.5], [4.0, -0.5, 0.1]])
    draw = tf.function(
        lambda seed: distributions.Bernoulli(logits, dtype=tf.float32).sample(20_000, seed=seed),
        jit_compile=jit_compile,
    )
    x = draw(tf.constant([1, 2])).numpy()
    assert x.shape == (20_000, 2, 3)
    assert set(np.unique(x)) == {0, 1}
    np.testing.assert_allclose(x.mean(0), tf.sigmoid(logits), atol=0.015)


def test_they_are_tfps_in_all_else():
    ours, theirs = distributions.Normal(0.5, [1.0, 2.0]), tfd.Normal(0.5, [1.0, 2.0])
    assert ours.sample(3, seed=(0, 1)).shape == (3, 2)
    assert ours.reparameterization_type == tfd.FULLY_REPARAMETERIZED
    np.testing.assert_array_equal(ours.log_prob(1.0), theirs.log_prob(1.0))
    for q in (ours, theirs):
        np.testing.assert_allclose(tfd.kl_divergence(q, tfd.Normal(0.0, 1.0)), [0.125, 0.932], 1e-2)


def test_no_beta_draw_is_0_or_1():
    """Rounding would put most of these there, where the density is infinite."""
    q = distributions.Beta([0.01, 0.02], [0.02, 0.01])
    z = q.sample(5000, seed=(0, 1)).numpy()
    assert 1e-6 <= z.min() < 2e-6
    assert 1 - 2e-6 < z.max() <= 1 - 9e-7  # as float32 has it
    assert np.all(np.isfinite(q.log_prob(z)))
    with tf.GradientTape() as tape:
        a = tf.Variable([2.0])
        mean = tf.reduce_mean(distributions.Beta(a, 3.0).sample(20_000, seed=(0, 1)))
    np.testing.assert_allclose(tape.gradient(mean, a), [3 / 25], rtol=0.05)  # d/da of a / (a + 3)


@pytest.mark.parametrize("shape", [3, (3,), (2, 3), (2, 2, 3)])
def test_the_standard_normal_is_over_whole_events(shape):
    p = distributions.standard_normal(shape)
    event = (shape,) if isinstance(shape, int) else shape
    assert (p.batch_shape, p.event_shape) == ((), event)
    z = np.random.default_rng(0).normal(size=(4, *event)).astype("float32")
    expected = scipy.stats.norm.logpdf(z).reshape(4, -1).sum(1)
    np.testing.assert_allclose(p.log_prob(z), expected, rtol=1e-5)


# ------------------------------------------------------------------------------- centres


def test_the_centre_is_the_mean_where_there_is_one():
    np.testing.assert_allclose(distributions.centre(tfd.Gamma([2.0, 6.0], 2.0)), [1, 3], rtol=1e-6)


def test_the_centre_is_the_mode_where_the_mean_is_not_finite():
    """Number by number: Student's t has a mean above one degree of freedom, Cauchy never."""
    np.testing.assert_array_equal(distributions.centre(tfd.Cauchy([1.0, -2.0], 3.0)), [1, -2])
    heavy = tfd.Pareto([0.5, 3.0], scale=2.0)  # means: infinite, and 3
    np.testing.assert_allclose(distributions.centre(heavy), [2, 3], rtol=1e-6)


@pytest.mark.parametrize("nan", [[np.nan, 0.0], [np.nan, np.nan]])
def test_the_centre_of_nan_is_nan(nan):
    """A mode may be a number all the same."""
    for one in (distributions.Bernoulli(logits=nan), distributions.Normal(nan, 1.0)):
        found = distributions.centre(tfd.Independent(one, 1)).numpy()
        np.testing.assert_array_equal(np.isnan(found), np.isnan(nan))
    cauchy = distributions.centre(tfd.Independent(tfd.Cauchy([[1.0, 2.0], nan], 1.0), 1)).numpy()
    np.testing.assert_array_equal(cauchy[0], [1, 2])
    assert np.isnan(cauchy[1]).any()


def test_independent_gaussians_beside_a_multivariate_one_have_a_closed_form():
    """Against a mean over draws, both ways."""
    standard = distributions.standard_normal(2)
    full = tfd.MultivariateNormalTriL([0.5, -1.0], [[0.8, 0.0], [0.3, 1.2]])
    diag = tfd.Independent(distributions.Normal([0.1, 0.2], [0.5, 2.0]), 1)
    for q, p in ((full, standard), (standard, full), (diag, full), (full, diag)):
        z = q.sample(200_000, seed=(0, 1))
        ratio = (q.log_prob(z) - p.log_prob(z)).numpy()
        error = ratio.std() / np.sqrt(len(z))
        assert float(tfd.kl_divergence(q, p)) == pytest.approx(ratio.mean(), abs=5 * error)
    batch = tfd.MultivariateNormalTriL(tf.zeros((3, 2)), tf.eye(2, batch_shape=[3]))
    np.testing.assert_allclose(tfd.kl_divergence(batch, standard), np.zeros(3), atol=1e-6)
    laplace = tfd.Independent(tfd.Laplace(tf.zeros(2), 1.0), 1)
    for q, p in ((laplace, full), (full, laplace)):
        with pytest.raises(NotImplementedError):
            tfd.kl_divergence(q, p)


def test_the_centre_is_a_mean_of_draws_where_tfp_knows_no_mean():
    flow = tfd.TransformedDistribution(tfd.Normal([0.0, 5.0], 1.0), tfb.SoftClip(-9.0, 9.0))
    with pytest.raises(NotImplementedError):
        flow.mean()
    found = distributions.centre(flow)
    np.testing.assert_allclose(found, [0, 5], atol=0.5)
    np.testing.assert_array_equal(found, distributions.centre(flow))  # always the same draws
    assert np.abs(found - flow.sample(seed=(0, 0))).max() > 0.05


# -------------------------------------------------------------------------------- saving


SAVED = {
    "independent": lambda: tfd.Independent(tfd.Laplace([0.0, 0.5], [1.0, 2.0]), 1),
    "full": lambda: tfd.MultivariateNormalTriL([0.0, 1.0], [[1.0, 0.0], [0.5, 2.0]]),
    "mixture": lambda: tfd.MixtureSameFamily(
        tfd.Categorical(probs=[0.3, 0.7]),
        tfd.MultivariateNormalDiag([[0.0], [1.0]], [[1.0], [0.5]]),
    ),
    "list": lambda: tfd.Blockwise([tfd.Normal(0.0, 1.0), tfd.Gamma(2.0, 1.0)]),
    "dtype": lambda: tfd.Bernoulli(logits=[0.3, -1.0], dtype=tf.float32),
    "float64": lambda: tfd.Normal(np.array([0.1, 0.2]), np.float64(2.0)),
    "transformed": lambda: tfd.TransformedDistribution(
        tfd.MultivariateNormalDiag([0.0, 1.0]), tfb.Chain([tfb.Exp(), tfb.Scale([2.0, 0.5])])
    ),
    "own": lambda: families.Gompertz([1.0, 2.0], 1.5),
    "own beta": lambda: distributions.Beta([1.0, 2.0], 1.5),
}


@pytest.mark.parametrize("name", SAVED)
def test_what_is_described_is_made_again(name):
    distribution = SAVED[name]()
    config = json.loads(json.dumps(distributions.serialize(distribution)))  # plain values alone
    again = distributions.deserialize(config)
    assert type(again).__name__.lstrip("_") == type(distribution).__name__.lstrip("_")
    assert again.dtype == distribution.dtype
    assert (again.batch_shape, again.event_shape) == (
        distribution.batch_shape, distribution.event_shape,
    )  # fmt: skip
    z = distribution.sample(5, seed=(0, 1))
    np.testing.assert_allclose(again.log_prob(z), distribution.log_prob(z), rtol=1e-6)


def test_the_kits_own_have_their_noise_when_they_are_made_again():
    for ours in (distributions.Normal(0.0, 1.0), distributions.Beta(1.0, 1.0)):
        assert type(distributions.deserialize(distributions.serialize(ours))) is type(ours)
    assert distributions.named("Normal") is distributions.Normal
    assert distributions.named("FisherF") is families.FisherF
    assert distributions.named("Laplace") is tfd.Laplace
    assert distributions.named("Gaussian") is None


class Unknown(tfd.Normal):
    pass


class Exp(tfb.Softplus):
    """Of a name that TFP has, too."""


class Laplace(tfd.Laplace):
    """Of a name that TFP has, but another's."""

    def _log_prob(self, z):
        return 2 * super()._log_prob(z)


@pytest.mark.parametrize(
    ("distribution", "message"),
    [
        (lambda: Unknown(0.0, 1.0), "Unknown is not a distribution of tfp.distributions"),
        (lambda: Laplace(0.0, 1.0), "Laplace is not a distribution of tfp.distributions"),
        (
            lambda: tfd.TransformedDistribution(tfd.Normal(0.0, 1.0), Exp()),
            "TransformedDistribution.bijector is a Exp, which is not a bijector of TFP",
        ),
    ],
)
def test_what_cannot_be_saved_says_so(distribution, message):
    with pytest.raises(ValueError, match=message):
        distributions.serialize(distribution())
