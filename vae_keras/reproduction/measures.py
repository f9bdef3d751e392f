"""The values recorded during a run, at the points that the paper plotted.

The lower bound has three splits: "test", the bound of the test set at that point; "train", the
bound of the training set at that point; "running", the mean bound of the minibatches trained on
since the previous point. log p(x), estimated by appendix D, has "test" and "train".
"""

import numpy as np

from vae_keras import marginal_likelihood
from vae_keras.datasets import STAND_IN
from vae_keras.models import LatentVariableModel
from vae_keras.reproduction import paper
from vae_keras.reproduction.experiments import ALL, FACES, MEASURES, Experiment

EARLY = (1000, 3000, 10_000, 30_000, 100_000)  # for runs that end before the paper's first point
# On embedded data, which no paper's points are for: enough for a curve.
EMBEDDED = (18_000, 56_000, 180_000, 300_000, 560_000)
DECADES = (10**6, 10**7, 10**8)
# From this many samples on -> how many points of a split are measured (None: all). Measuring must
# cost little compared with training.
BOUNDED = {
    "test": {0: 1000, 10**5: None},
    "train": {0: 1000, 10**5: 10_000, 10**6: None},
}
ESTIMATED = {0: 100, 10**5: 250, 150_000: 1000}
COMPARED = {0: 100, 10**7: 1000}  # when comparing estimators at the end of a run
APART = 250_000  # minimum training samples between two estimates of log p(x) below 10^6


def grid(experiment: Experiment, samples: int) -> list[int]:
    """The training samples, up to `samples`, at which the run is measured."""
    own = EMBEDDED if experiment.dataset in STAND_IN.values() else ()
    points = sorted({*EARLY, *own, *DECADES, *_of_paper(experiment)})
    if experiment.measure == "marginal_log_likelihood":  # it is slow
        points = [*EARLY[-1:], *_thinned([point for point in points if point > EARLY[-1]])]
    return [point for point in points if point <= samples]


def _thinned(points):
    """Drop points below 10^6 that lie too close to the previous point or to 10^6."""
    kept = []
    for point in points:
        near = kept and point - kept[-1] < APART
        if point >= 10**6 or not (near or 10**6 - point < APART / 2):
            kept.append(point)
    return kept


def running_mean_starts(experiment: Experiment, samples: int) -> list[int]:
    """The training samples, up to `samples`, at which a "running" mean begins.

    The paper took points at regular time intervals, but only some of the later ones were read off.
    So each mean covers the distance from 0 to the first point, or from the previous point if that
    is nearer.
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
    """Measure `model` as it is now; returns one row of the curve per split.

    The noise depends only on the position in training, not on earlier measurements. `running`: the
    mean bound of that split, or None.
    """
    samples = model.samples_evaluated
    model.set_evaluation_noise(10**6 * (model.examples_seen // experiment.batch_size))
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
    """The number of points that `table` gives for a measurement at `samples`; None: all."""
    return table[max(least for least in table if least <= samples)]


def _lower_bound(model, splits, samples):
    """The bound of the first points of each split, with one sample per datapoint."""
    firsts = {split: x[: points(BOUNDED[split], samples)] for split, x in splits.items()}
    return {
        split: {"lower_bound": round(float(model.elbo(x).mean()), 2)} for split, x in firsts.items()
    }


def _log_likelihood(model, splits, samples):
    """Appendix D on the first points of each split; also the bound if there is an encoder."""
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
