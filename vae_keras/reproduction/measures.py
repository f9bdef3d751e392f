"""What is recorded along a run, and where: at the paper's own points, what the paper plotted there.

Of the bound, three splits: "test", of the whole test set at that moment; "running", the mean of
the minibatches' bounds as they were learned from, since the point before; "train", of the training
set at that moment. Of log p(x), by appendix D, "test" and "train".
"""

import numpy as np

from vae_keras import marginal_likelihood
from vae_keras.models import LatentVariableModel
from vae_keras.reproduction import paper
from vae_keras.reproduction.experiments import ALL, FACES, MEASURES, Experiment

EARLY = (1000, 3000, 10_000, 30_000, 100_000)  # for runs that end before the paper's first point
DECADES = (10**6, 10**7, 10**8)
# Samples evaluated by then -> the first points of a split on which a measure is taken, which is to
# cost little beside the training. All points: None.
BOUNDED = {
    "test": {0: 1000, 10**5: None},
    "train": {0: 1000, 10**5: 10_000, 10**6: None},
}
ESTIMATED = {0: 100, 10**5: 250, 150_000: 1000}
COMPARED = {0: 100, 10**7: 1000}  # of estimators with one another, at the end of a run
APART = 250_000  # training samples between two estimates of log p(x) below 10^6, at least


def grid(experiment: Experiment, samples: int) -> list[int]:
    """Training samples, up to `samples`, at which the measure is taken."""
    points = sorted({*EARLY, *DECADES, *_of_paper(experiment)})
    if experiment.measure == "marginal_log_likelihood":  # which takes long
        points = [*EARLY[-1:], *_thinned([point for point in points if point > EARLY[-1]])]
    return [point for point in points if point <= samples]


def _thinned(points):
    """Without those below 10^6 that lie too near to the one before or to 10^6."""
    kept = []
    for point in points:
        near = kept and point - kept[-1] < APART
        if point >= 10**6 or not (near or 10**6 - point < APART / 2):
            kept.append(point)
    return kept


def running_mean_starts(experiment: Experiment, samples: int) -> list[int]:
    """Training samples, up to `samples`, at which a mean for "running" begins.

    The paper took a point every so many minutes, and read off are only some of the later ones: a
    mean goes back as far as its first lies from the beginning, or to the one before if nearer.
    """
    points = _of_paper(experiment)
    distance = points[0]
    before = [0, *points]
    begins = {max(b, point - distance) for b, point in zip(before, points, strict=False)}
    return sorted(begin for begin in begins if begin <= samples)


def _of_paper(experiment):
    dataset = "frey_face" if experiment.dataset in FACES else "mnist"
    n_train = experiment.n_train or ALL[experiment.dataset]
    return paper.points(
        experiment.measure, experiment.algorithm, dataset, experiment.latent_dim, n_train
    )


def measure(
    experiment: Experiment,
    model: LatentVariableModel,
    splits: dict[str, np.ndarray],
    running: float | None,
) -> list[dict]:
    """The rows of the curve that belong to where `model` is now, one a split.

    The noise of a measure follows from where it is taken, so that what was measured before, and
    how often, does not matter. `running`: the value of that split, of the bound.
    """
    samples = model.samples_evaluated
    model.set_evaluation_noise(10**6 * (model.examples_seen // int(experiment.batch_size or 0)))
    about = {name: getattr(experiment, name) for name in MEASURES[experiment.measure]}
    values = {"lower_bound": _lower_bound, "marginal_log_likelihood": _log_likelihood}[
        experiment.measure
    ](model, splits, samples)
    if running is not None and experiment.measure == "lower_bound":
        values["running"] = {"lower_bound": round(running, 2)}
    return [
        about | {"split": split, "samples": samples} | found | {"seed": experiment.seed}
        for split, found in values.items()
    ]


def points(table: dict[int, int | None], samples: int) -> int | None:
    """How many points `table` has for a measure taken at `samples`; None: all."""
    return table[max(least for least in table if least <= samples)]


def _lower_bound(model, splits, samples):
    """The bound of the first points of each split, estimated with one sample a datapoint."""
    firsts = {split: x[: points(BOUNDED[split], samples)] for split, x in splits.items()}
    return {
        split: {"lower_bound": round(float(model.elbo(x).mean()), 2)} for split, x in firsts.items()
    }


def _log_likelihood(model, splits, samples):
    """Appendix D on the first points of each split, in one go; of an autoencoder their bound."""
    firsts = [x[: points(ESTIMATED, samples)] for x in splits.values()]
    found = marginal_likelihood.appendix_d(model, np.concatenate(firsts))
    parts = [np.split(np.asarray(values), [len(firsts[0])]) for values in found]
    bounds = [
        round(float(model.elbo(x).mean()), 2) if hasattr(model, "elbo") else None for x in firsts
    ]
    return {
        split: {
            "marginal_log_likelihood": round(float(nats.mean()), 2),
            "error": round(float(np.sqrt(np.sum(error**2)) / len(error)), 3),
            "acceptance": round(float(acceptance.mean()), 3),
            "lower_bound": bound,
        }
        for split, nats, error, acceptance, bound in zip(splits, *parts, bounds, strict=True)
    }
