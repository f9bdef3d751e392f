"""Data outside the support of p(x|z) are refused before training; all that lie in it are taken."""

import types

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_keras import _supports, marginal_likelihood
from vae_keras.layers import Bernoulli, Blockwise, DiagonalGaussian, TFPDistribution
from vae_keras.models import _inputs

N, D = 40, 12
UNIT = np.random.default_rng(0).uniform(0.05, 0.95, (N, D)).astype("float32")
COUNTS = np.floor(4 * UNIT)  # 0 to 3
ONE_HOT = np.eye(D, dtype="float32")[np.arange(N) % D]


def spoiled(x, value):
    """In its row 7."""
    bad = x.copy()
    bad[7, 3] = value
    return bad


# family: data inside its support, data outside, what is said, what is fixed
FAMILIES = {
    "Exponential": (UNIT, -0.1, "non-negative", None),
    "Gamma": (UNIT, 0.0, r"log p\(x\|z\) = ", None),
    "Beta": (UNIT, 0.0, r"log p\(x\|z\) = ", None),
    "ContinuousBernoulli": (UNIT, 1.1, "less than or equal to `1`", None),
    "Gompertz": (UNIT, -0.1, r"log p\(x\|z\) = -inf", None),
    "Poisson": (COUNTS, 0.5, "needs integers", None),
    "Geometric": (COUNTS, -1.0, "", None),
    "Binomial": (COUNTS, 5.0, "less than or equal to `total_count`", {"total_count": 3.0}),
    "OneHotCategorical": (ONE_HOT, 1.0, "sum to 1", None),
}


@pytest.mark.first(6)
@pytest.mark.parametrize("family", FAMILIES)
def test_data_outside_the_support_of_a_family(family, make_vae, any_decoder):
    good, value, why, fixed = FAMILIES[family]
    vae = make_vae(decoder=any_decoder(TFPDistribution(family, D, fixed=fixed)))
    check = vae.density_check()
    check(good)
    with pytest.raises(ValueError, match=f"datapoint 7, .* under the decoder's {family} .*{why}"):
        check(spoiled(good, value))


def test_they_are_refused_wherever_data_come_from(make_vae, any_decoder):
    vae = make_vae(decoder=any_decoder(TFPDistribution("Poisson", D)))
    assert np.all(np.isfinite(vae.elbo(COUNTS)))
    bad = spoiled(COUNTS, 0.5)
    stream = tf.data.Dataset.from_tensor_slices(bad).batch(20)
    for call in (
        lambda: vae.fit(bad, verbose=0),
        lambda: vae.fit(stream, verbose=0),
        lambda: vae.evaluate(bad, verbose=0),
        lambda: vae.train_on_batch(bad),
        lambda: marginal_likelihood.importance_sampling(vae, bad, 10),
    ):
        with pytest.raises(ValueError, match="datapoint 7, with values from"):
            call()
    assert vae.samples_evaluated == 0


@pytest.mark.long
def test_one_block_of_several(make_vae, any_decoder):
    parts = [Bernoulli(3), TFPDistribution("Exponential", 5), TFPDistribution("Poisson", 4)]
    check = make_vae(decoder=any_decoder(Blockwise(parts))).density_check()
    x = np.concatenate([UNIT[:, :8], COUNTS[:, 8:]], axis=1)
    check(x)  # of the others no integers are asked
    names = r"Bernoulli, Exponential, Poisson \(Sample must be non-negative"
    with pytest.raises(ValueError, match=names):
        check(spoiled(x, -0.5))
    x[7, 9] = 0.5
    with pytest.raises(ValueError, match="needs integers"):
        check(x)


@pytest.mark.parametrize("layer", [Bernoulli(D), DiagonalGaussian(D)])
def test_where_all_numbers_or_pixels_have_a_density_nothing_is_worked_out(
    layer, make_vae, any_decoder
):
    assert make_vae(decoder=any_decoder(layer)).density_check() is None


PRIOR = tfd.MultivariateNormalDiag([0.0])


def of_one(family):
    """A model of one number x, whose distribution is `family` of one number z."""
    return types.SimpleNamespace(prior=PRIOR, decode=lambda z: tfd.Independent(family(z), 1))


def test_a_support_that_depends_on_z_is_not_judged_by_one_z():
    check = _supports.density_check(of_one(lambda z: tfd.Uniform(z - 1, z + 1)))
    tried = [PRIOR.sample(1, seed=(0, k)) for k in range(_supports.TRIES)]
    inside = [[np.min(tried) - 0.9], [np.max(tried) + 0.9]]
    check(np.array(inside, "float32"))
    with pytest.raises(ValueError, match=r"datapoint 0, with values from 50 to 50"):
        check(np.array([[50.0]], "float32"))


def test_a_density_that_takes_no_more_x_than_it_has_z_is_not_judged():
    class OfPairs(tfd.Exponential):
        def _log_prob(self, x):
            return super()._log_prob(tf.concat([x, self.rate], axis=1)[:, :1])

    model = of_one(lambda z: OfPairs(tf.exp(z)))
    _supports.density_check(model)(np.ones((5, 1), "float32"))


def test_the_first_bad_datapoint_is_named_however_many_there_are(monkeypatch):
    monkeypatch.setattr(_supports, "ROWS", 16)
    check = _supports.density_check(of_one(lambda z: tfd.Exponential(tf.exp(z))))
    x = np.ones((100, 1), "float32")
    check(x)
    for first in (0, 15, 16, 37, 99):
        bad = x.copy()
        bad[first:] = -1
        with pytest.raises(ValueError, match=f"datapoint {first}, "):
            check(bad)


def test_uint8_pixels_are_looked_at_as_they_are_read(make_vae, any_decoder):
    """255 is 1, of which Beta has no density."""
    vae = make_vae(decoder=any_decoder(TFPDistribution("Beta", D)))
    _inputs.checked(vae, np.full((5, D), 128, "uint8"))
    with pytest.raises(ValueError, match="from 1 to 1, has no density"):
        vae.fit(np.full((5, D), 255, "uint8"), verbose=0)


def test_pixels_of_a_probit_decoder_must_lie_in_the_unit_interval_too(make_vae, any_decoder):
    vae = make_vae(decoder=any_decoder(TFPDistribution("ProbitBernoulli", 12)))
    vae.fit(np.full((20, 12), 0.5, "float32"), verbose=0)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        vae.fit(np.full((20, 12), 5, "float32"), verbose=0)
