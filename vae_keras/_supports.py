"""The data that a decoder models: pixels, counts or numbers, and which have a density."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd
from tensorflow_probability.python.distributions.distribution import DiscreteDistributionMixin

from vae_keras import _checks
from vae_keras.distributions import Conditional
from vae_keras.pixels import intensities
from vae_keras.typing import Data, Decoding

PIXELS = (tfd.Bernoulli, tfd.ProbitBernoulli)  # which may be grey
TRIES = 8  # values of z tried before a datapoint is refused
ROWS = 10_000  # datapoints whose density is checked together


def needs_unit_interval(likelihood: tfd.Distribution) -> bool | np.ndarray:
    """Whether `likelihood` is only defined for pixels in [0, 1]; (n,) if only for some of n."""
    return _where(likelihood, lambda part: isinstance(part, PIXELS))


def reads_pixels(likelihood: tfd.Distribution) -> bool | None:
    """Whether uint8 data are images for `likelihood`: true unless any part is over counts.

    All discrete families are over counts, except Bernoulli, whose pixels may be grey. None for rows
    [x, y] of a `Conditional` with pixels x: their y is none.
    """
    if isinstance(likelihood, Conditional):
        return None if reads_pixels(_of_x(likelihood)) else False
    return not any(
        isinstance(part, DiscreteDistributionMixin) and not isinstance(part, PIXELS)
        for part in _parts(likelihood)
    )


def is_bounded(likelihood: tfd.Distribution) -> bool:
    """Whether finite data (or valid pixels) may lie outside the support of `likelihood`."""
    return not all(isinstance(part, tfd.Normal | tfd.Bernoulli) for part in _components(likelihood))


def _counts(part):
    """Whether `part` is over counts or categories, which are integers."""
    is_discrete = isinstance(part, DiscreteDistributionMixin)
    return is_discrete and not isinstance(part, (*PIXELS, tfd.FiniteDiscrete))


def _where(likelihood, holds):
    """Whether `holds` is true for a part of `likelihood`; (n,) if x is in blocks, and for some."""
    if isinstance(likelihood, tfd.Blockwise):
        parts = likelihood.distributions
        which = np.concatenate([np.full(d.event_shape, _where(d, holds)) for d in parts])
        return which if which.any() else False
    if isinstance(likelihood, Conditional):
        of_x = _of_x(likelihood)
        which = np.concatenate(
            [np.full(of_x.event_shape, _where(of_x, holds)), np.full(likelihood.given, False)]
        )
        return which if which.any() else False
    return any(holds(part) for part in _parts(likelihood))


def _of_x(conditional):
    """p(x | z, y) at y = 0."""
    return conditional.likelihood(tf.zeros((*conditional.batch_shape, conditional.given)))


def checked_data(x: Data, model: Decoding) -> Data:
    """`x` for `pixels.intensities`; ValueError unless they are datapoints of p(x|z).

    For a `tf.data` stream of x, (x,) or (x, y): the x of all minibatches.
    """
    likelihood = model.decode(model.prior.sample(1, seed=(0, 0)))
    if isinstance(x, tf.data.Dataset):
        batches = [batch[0] if isinstance(batch, tuple) else batch for batch in x]
        if not batches:
            raise ValueError(_checks.EMPTY)
        x = tf.concat([_checks.one_input(batch) for batch in batches], axis=0)
    x, pixels = _checks.one_input(x), reads_pixels(likelihood)
    if not hasattr(x, "shape"):
        raise ValueError(
            f"the data are a {type(x).__name__}: give an array, or a tf.data.Dataset of minibatches"
        )
    _checks.check_shape(x.shape, likelihood.event_shape)
    _checks.check_values(x, needs_unit_interval(likelihood), pixels)
    if check := density_check(model):
        check(x)
    return x if pixels else np.asarray(x, np.float32)


def density_check(model: Decoding) -> Callable[[Data], None] | None:
    """A check that raises ValueError for data outside the support of p(x|z); None if not needed.

    A datapoint is outside if, for each of a few z from the prior, TFP's own checks of a sample
    refuse it or log p(x|z) is not finite. For Gaussian decoders all numbers are inside, for
    Bernoulli decoders all pixels.
    """

    def of(k):
        return model.decode(model.prior.sample(1, seed=(0, k)))

    first = of(0)
    if not is_bounded(first):
        return None
    pixels, whole = reads_pixels(first), _where(first, _counts)
    log_prob = tf.function(_validating(first).log_prob, reduce_retracing=True, autograph=False)

    def why(x, log_prob):
        """Why a row of x has no density; None if all rows have one."""
        if np.any(whole):
            counts = np.asarray(x)[..., whole] if isinstance(whole, np.ndarray) else np.asarray(x)
            if np.any(counts % 1):
                return "it needs integers"
        try:
            nats = np.asarray(log_prob(x))
        except (TypeError, ValueError):  # the density only takes as many x as it has z
            return None
        except tf.errors.InvalidArgumentError as error:
            return error.message.strip().splitlines()[0].strip(" .")
        return None if np.all(np.isfinite(nats)) else f"log p(x|z) = {nats[~np.isfinite(nats)][0]}"

    def check(x):
        for begin in range(0, len(x), ROWS):
            rows = intensities(x[begin : begin + ROWS], pixels)
            if why(rows, log_prob) is None:
                continue
            low, high = 0, len(rows)  # the first bad datapoint is in rows[low:high]
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if why(rows[low:middle], log_prob) else (middle, high)
            bad = rows[low : low + 1]
            found = [why(bad, _validating(of(k)).log_prob) for k in range(TRIES)]
            if None in found:
                return  # the support depends on z
            names = ", ".join(sorted({type(part).__name__ for part in _components(first)}))
            low_x, high_x = float(tf.reduce_min(bad)), float(tf.reduce_max(bad))
            raise ValueError(
                f"datapoint {begin + low}, with values from {low_x:g} to {high_x:g}, has no "
                f"density under the decoder's {names} ({found[0]}): leave it out, or use a family "
                "whose support contains it"
            )

    return check


def _validating(distribution: tfd.Distribution) -> tfd.Distribution:
    """The same distribution, validating the arguments of `log_prob`, except for pixels."""
    if isinstance(distribution, _checks.INDEPENDENT):
        return tfd.Independent(
            _validating(distribution.distribution), distribution.reinterpreted_batch_ndims
        )
    if isinstance(distribution, tfd.Blockwise):
        return tfd.Blockwise([_validating(part) for part in distribution.distributions])
    if isinstance(distribution, Conditional):
        z, event, given = distribution.z, distribution.event, distribution.given
        return Conditional(lambda zy: _validating(distribution.network(zy)), z, event, given)
    if isinstance(distribution, tfd.MixtureSameFamily):
        parts = _validating(distribution.components_distribution)
        return tfd.MixtureSameFamily(distribution.mixture_distribution, parts)
    if isinstance(distribution, PIXELS):
        return distribution
    try:
        return distribution.copy(validate_args=True)
    except (TypeError, ValueError, tf.errors.InvalidArgumentError):  # it cannot validate
        return distribution


def _components(distribution):
    """The components of `distribution`, by independence, blocks or mixing."""
    if isinstance(distribution, _checks.INDEPENDENT):
        return _components(distribution.distribution)
    if isinstance(distribution, tfd.Blockwise):
        return [one for part in distribution.distributions for one in _components(part)]
    if isinstance(distribution, Conditional):
        return _components(_of_x(distribution))
    if isinstance(distribution, tfd.MixtureSameFamily):
        return _components(distribution.components_distribution)
    return [distribution]


def _parts(distribution):
    """The components of `distribution`, by independence, mixing or a bijector."""
    if isinstance(distribution, DiscreteDistributionMixin):
        return [distribution]
    names = ("distribution", "components_distribution", "distributions", "components")
    inner = keras.tree.flatten([getattr(distribution, name, []) for name in names])
    inner = [one for one in inner if isinstance(one, tfd.Distribution)]
    return [part for one in inner for part in _parts(one)] or [distribution]
