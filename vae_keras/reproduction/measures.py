"""What is recorded along a run, when, and of how many points: the lower bound, or log p(x)."""

import numpy as np

from vae_keras import likelihood
from vae_keras.models import LatentVariableModel
from vae_keras.reproduction.experiments import MEASURES, Experiment

# Samples evaluated by then -> the first points of each split on which a measure is taken, which is
# to cost little beside the training: the bounds of all of MNIST take as long as 40,000 samples.
BOUNDED = {0: 1000, 10**5: 10_000, 10**6 + 10_000: None}
ESTIMATED = {0: 100, 10**5: 300, 10**6 + 10_000: 1000}


def grid(measure: str, samples: int) -> list[int]:
    """Training samples, up to `samples`, at which a measure is taken: the same for all runs.

    Of the bound: seven times a decade from 10^5 on, ten times from 10^6 on, and a few times before,
    for short runs. Of log p(x), for figure 3's linear axis: each million, and thrice before.
    """
    if measure == "marginal_log_likelihood":
        points = [10**5, 2 * 10**5, 4 * 10**5, 7 * 10**5]
        points += range(10**6, samples + 1, 10**6)
    else:
        points = [1000, 3000, 10_000, 30_000]
        points += [round(10 ** (5 + k / 7)) for k in range(7)]
        points += [round(10 ** (6 + k / 10)) for k in range(51)]
    return [point for point in points if point <= samples]


def take(
    experiment: Experiment, model: LatentVariableModel, splits: dict[str, np.ndarray]
) -> list[dict]:
    """The rows of the curve that belong to where `model` is now, one a split.

    The noise of a measure follows from where it is taken, so that what was measured before, and
    how often, does not matter.
    """
    samples = model.samples
    model.set_evaluation_noise(10**6 * (model.visits // experiment.batch_size))
    about = {name: getattr(experiment, name) for name in MEASURES[experiment.measure]}
    values = {"lower_bound": _lower_bound, "marginal_log_likelihood": _log_likelihood}[
        experiment.measure
    ](model, splits, samples)
    return [
        about | {"split": split, "samples": samples} | found | {"seed": experiment.seed}
        for split, found in values.items()
    ]


def points(table: dict[int, int | None], samples: int) -> int | None:
    """How many points `table` has for a measure taken at `samples`; None: all."""
    return table[max(least for least in table if least <= samples)]


def _lower_bound(model, splits, samples):
    """The bound of the first points of each split, estimated with one sample a datapoint."""
    firsts = {split: x[: points(BOUNDED, samples)] for split, x in splits.items()}
    return {
        split: {"lower_bound": round(float(model.elbo(x).mean()), 2)} for split, x in firsts.items()
    }


def _log_likelihood(model, splits, samples):
    """Appendix D on the first points of each split, all in one go."""
    firsts = [x[: points(ESTIMATED, samples)] for x in splits.values()]
    found = likelihood.appendix_d(model, np.concatenate(firsts))
    parts = [np.split(np.asarray(values), [len(firsts[0])]) for values in found]
    return {
        split: {
            "marginal_log_likelihood": round(float(nats.mean()), 2),
            "error": round(float(np.sqrt(np.sum(error**2)) / len(error)), 3),
            "acceptance": round(float(acceptance.mean()), 3),
        }
        for split, nats, error, acceptance in zip(splits, *parts, strict=True)
    }
