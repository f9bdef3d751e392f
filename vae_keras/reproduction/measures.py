"""What is recorded along a run, in nats: the lower bound, or log p(x) by appendix D."""

from typing import Any

import numpy as np

from vae_keras import likelihood
from vae_keras.models import LatentVariableModel

# Samples of a run -> the first points of each split on which its measure is taken, which is to cost
# little beside the training: the bounds of the whole sets take as long as 40,000 samples of it.
BOUNDED = {0: 10_000, 10**7: None}
ESTIMATED = {0: 100, 10**5: 300, 10**7: 1000}


def _points(table, experiment):
    return table[max(least for least in table if least <= experiment.samples)]


def lower_bound(
    model: LatentVariableModel, splits: dict[str, np.ndarray], experiment: Any
) -> dict[str, dict]:
    """The bound of the first points of each split, estimated with one sample a datapoint."""
    points = _points(BOUNDED, experiment)
    bounds = {split: float(model.elbo(x[:points]).mean()) for split, x in splits.items()}
    return {split: {"lower_bound": round(bound, 2)} for split, bound in bounds.items()}


def log_likelihood(
    model: LatentVariableModel, splits: dict[str, np.ndarray], experiment: Any
) -> dict[str, dict]:
    """Appendix D on the first points of each split, all in one go."""
    firsts = [x[: _points(ESTIMATED, experiment)] for x in splits.values()]
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


MEASURES = {  # name -> what takes it, and the columns of the experiment that its figure needs
    "lower_bound": (lower_bound, ("dataset", "latent_dim", "algorithm")),
    "marginal_log_likelihood": (log_likelihood, ("dataset", "n_train", "latent_dim", "algorithm")),
}
