"""Every family that section 2.4 names, as a posterior: gradients, draws, and a VAE with it."""

from typing import NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import stats

from vae_keras import families
from vae_keras.layers import TFPDistribution

tfd = tfp.distributions
reals = tfd.Independent(tfd.Normal(tf.zeros(2), 1.0), 1)
positive = tfd.Independent(tfd.LogNormal(tf.zeros(2), 1.0), 1)
unit = tfd.Independent(tfd.Beta(2 * tf.ones(2), 2.0), 1)
# Under a Gaussian prior the bound of a Cauchy posterior is minus infinity: E z^2 is not finite.
heavy = tfd.Independent(tfd.Cauchy(tf.zeros(2), 1.0), 1)
simplex = tfd.Dirichlet(2 * tf.ones(3))


class Case(NamedTuple):
    family: str
    exact: callable  # a TFP distribution -> SciPy's, in float64
    prior: tfd.Distribution
    fixed: dict | None = None

    def layer(self, size):
        return TFPDistribution(self.family, size, fixed=self.fixed)


CASES = {
    # by the inverse CDF
    "exponential": Case("Exponential", lambda d: stats.expon(scale=1 / d.rate), positive),
    "cauchy": Case("Cauchy", lambda d: stats.cauchy(d.loc, d.scale), heavy),
    "logistic": Case("Logistic", lambda d: stats.logistic(d.loc, d.scale), reals),
    "rayleigh": Case(
        "Weibull", lambda d: stats.rayleigh(scale=d.scale / np.sqrt(2)), positive,
        {"concentration": 2.0},
    ),
    "pareto": Case("Pareto", lambda d: stats.pareto(d.concentration, scale=d.scale), positive),
    "weibull": Case(
        "Weibull", lambda d: stats.weibull_min(d.concentration, scale=d.scale), positive
    ),
    "reciprocal": Case("Reciprocal", lambda d: stats.loguniform(d.low, d.high), positive),
    "gompertz": Case(
        "Gompertz", lambda d: stats.gompertz(d.concentration, scale=1 / d.rate), positive
    ),
    "gumbel": Case("Gumbel", lambda d: stats.gumbel_r(d.loc, d.scale), reals),
    "erlang": Case(
        "Gamma", lambda d: stats.erlang(3, scale=np.exp(-d.log_rate)), positive,
        {"concentration": 3.0},
    ),
    # by location and scale
    "laplace": Case("Laplace", lambda d: stats.laplace(d.loc, d.scale), reals),
    "elliptical": Case(
        "MultivariateNormalTriL", lambda d: stats.norm(d.mean()[..., 0], d.stddev()[..., 0]), reals
    ),
    "student_t": Case("StudentT", lambda d: stats.t(d.df, d.loc, d.scale), heavy),
    "uniform": Case("Uniform", lambda d: stats.uniform(d.low, d.high - d.low), reals),
    "triangular": Case(
        "Triangular",
        lambda d: stats.triang((d.peak - d.low) / (d.high - d.low), d.low, d.high - d.low),
        reals,
    ),
    "gaussian": Case("Normal", lambda d: stats.norm(d.loc, d.scale), reals),
    # by composition
    "log_normal": Case(
        "LogNormal", lambda d: stats.lognorm(d.scale, scale=np.exp(d.loc)), positive
    ),
    "gamma": Case(
        "Gamma", lambda d: stats.gamma(d.concentration, scale=np.exp(-d.log_rate)), positive
    ),
    "dirichlet": Case(
        "Dirichlet",
        lambda d: stats.beta(
            d.concentration[..., 0], np.sum(d.concentration, -1) - d.concentration[..., 0]
        ),
        simplex,
    ),
    "beta": Case("Beta", lambda d: stats.beta(d.concentration1, d.concentration0), unit),
    "chi_squared": Case("Chi2", lambda d: stats.chi2(d.df), positive),
    "f": Case("FisherF", lambda d: stats.f(d.df1, d.df2), positive),
}  # fmt: skip
VECTORS = {"elliptical": 2, "dirichlet": 3}  # multivariate: their first number is looked at


def of_unconstrained(case, name, params):
    """The distribution of one number, or vector, for each row of `params`, in its own batch."""
    distribution = case.layer(VECTORS.get(name, 1)).distribution(params)
    return distribution if name in VECTORS else distribution.distribution


def some_params(case, name):
    rng = np.random.default_rng(7)
    return rng.uniform(0.5, 1.5, case.layer(VECTORS.get(name, 1)).params_size)


@pytest.mark.parametrize("name", CASES)
def test_draws_follow_the_distribution(name):
    case = CASES[name]
    params = tf.constant(some_params(case, name)[None], tf.float32)
    distribution = of_unconstrained(case, name, params)
    z = np.ravel(distribution.sample(20_000, seed=(1, 2))[:, 0, ..., :1])
    reference = case.exact(distribution)
    assert stats.kstest(z, lambda v: np.ravel(reference.cdf(v))).pvalue > 1e-3
    if name not in VECTORS:
        nats = np.ravel(distribution.log_prob(z[:100, None, None]))
        np.testing.assert_allclose(nats, np.ravel(reference.logpdf(z[:100])), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", CASES)
def test_the_gradient_of_an_expectation(name):
    """Of E tanh(z) in the layer's parameters, beside finite differences of an integral."""
    case, n = CASES[name], 100_000
    params = some_params(case, name)
    tiled = tf.constant(np.tile(params, (n, 1)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(tiled)
        value = tf.tanh(of_unconstrained(case, name, tiled).sample(seed=(3, 4))[..., :1])
    gradients = tape.gradient(value, tiled).numpy().astype(np.float64)
    found, error = gradients.mean(0), gradients.std(0) / np.sqrt(n)

    u = (np.arange(20_000) + 0.5) / 20_000

    def expectation(params):
        one = of_unconstrained(case, name, tf.constant(params[None], tf.float32))
        return np.tanh(np.ravel(case.exact(one).ppf(u))).mean()

    step = 0.02 * np.eye(len(params))
    wanted = [(expectation(params + h) - expectation(params - h)) / 0.04 for h in step]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=5 * error.max() + 1e-3)
    assert np.abs(wanted).max() > 0.02  # there is a gradient to be found


OTHERS = [name for name in CASES if name not in ("laplace", "gamma")]


@pytest.mark.first(2)
@pytest.mark.parametrize("name", ["laplace", "gamma", *OTHERS])
def test_a_small_vae_with_it_learns(name, uneven, make_vae, any_encoder):
    case = CASES[name]
    size = case.prior.event_shape[0]
    vae = make_vae(
        any_encoder(case.layer(size)), latent=size, prior=case.prior, estimator="A", seed=1
    )
    before = vae.elbo(uneven, n_samples=20).mean()
    bounds = vae.fit(uneven, epochs=25, verbose=0).history["elbo"]
    assert np.all(np.isfinite(bounds))
    assert vae.elbo(uneven, n_samples=20).mean() > before + 0.1
    assert np.all(np.isfinite(vae.predict(uneven[:5], verbose=0)))


@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")  # none has moved
def test_the_kits_own_families_can_be_saved_as_priors(make_vae, tmp_path, any_encoder):
    prior = tfd.Independent(families.Gompertz([1.0, 2.0], [1.0, 1.0]), 1)
    vae = make_vae(any_encoder(TFPDistribution("FisherF", 2)), prior=prior, estimator="A")
    vae.save(tmp_path / "vae.keras")
    again = keras.saving.load_model(tmp_path / "vae.keras")
    z = tf.constant([[0.5, 1.5]])
    np.testing.assert_allclose(again.prior.log_prob(z), prior.log_prob(z))
    assert isinstance(again.encode(tf.zeros((1, 12))).distribution, families.FisherF)


# --------------------------------------------------- the families that TFP does not have, alone

# Parameters in a batch, some of them far from 1, and the same distribution in SciPy.
OURS = {
    "reciprocal": (
        families.Reciprocal([0.5, 1e-3], [3.0, 20.0]), stats.loguniform([0.5, 1e-3], [3.0, 20.0]),
    ),
    "gompertz": (
        families.Gompertz([0.2, 4.0], [1.5, 0.3]),
        stats.gompertz([0.2, 4.0], scale=[1 / 1.5, 1 / 0.3]),
    ),
    "f": (families.FisherF([3.0, 7.5], [8.0, 1.5]), stats.f([3.0, 7.5], [8.0, 1.5])),
}  # fmt: skip


@pytest.mark.parametrize("name", OURS)
def test_the_cdf_its_inverse_and_the_density_are_scipys(name):
    ours, exact = OURS[name]
    u = np.linspace(0.01, 0.99, 50)[:, None] * np.ones(2)
    z = exact.ppf(u)
    np.testing.assert_allclose(ours.cdf(z.astype("float32")), u, rtol=1e-4)
    np.testing.assert_allclose(
        ours.log_prob(z.astype("float32")), exact.logpdf(z), rtol=1e-4, atol=1e-4
    )
    if name != "f":  # drawn by composition, and so without an inverse
        np.testing.assert_allclose(ours.quantile(u.astype("float32")), z, rtol=1e-4)
        ends = np.array([[0.0, 0.0], [1.0, 1.0]], "float32")
        np.testing.assert_allclose(ours.quantile(ends), exact.ppf(ends), rtol=1e-5)


@pytest.mark.parametrize("name", OURS)
def test_beyond_the_support_there_is_no_density(name):
    ours, exact = OURS[name]
    z = np.array([[-1.0, -1.0], [0.0, 0.0]], "float32")
    if name == "gompertz":  # whose density at 0 is not 0
        z[1] = -1e-6
    np.testing.assert_array_equal(ours.log_prob(z), np.full((2, 2), -np.inf))
    np.testing.assert_array_equal(ours.cdf(z), np.zeros((2, 2)))
    far = np.array([1e6, 1e6], "float32")
    np.testing.assert_allclose(ours.cdf(far), exact.cdf(far), rtol=1e-4)
    if name == "reciprocal":
        np.testing.assert_array_equal(ours.log_prob(far), [-np.inf, -np.inf])


@pytest.mark.parametrize("name", OURS)
def test_every_draw_has_a_density(name):
    """Also the most extreme ones, which rounding might carry over the edge."""
    ours, _ = OURS[name]
    z = ours.sample(50_000, seed=(0, 1))
    assert z.shape == (50_000, 2)
    assert np.all(np.isfinite(ours.log_prob(z)))
