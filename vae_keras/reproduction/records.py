"""Check that the stored parts of a run are consistent: settings, samples, curve and model.

Whether the numbers themselves are right cannot be checked without training the run again.
"""

import math
from collections import Counter

from vae_keras.models import LatentVariableModel
from vae_keras.reproduction.experiments import ALGORITHMS, MEASURES, RECIPE, Experiment

SPLITS = {"lower_bound": {"train", "test", "running"}, "marginal_log_likelihood": {"train", "test"}}


def check(record: dict, whole: bool) -> Experiment:
    """The experiment of a record. Raises ValueError, which says why, if the record is inconsistent.

    `whole`: the run is finished, so its curve must end where the run should.
    """
    experiment = Experiment(**record["experiment"])
    if record.get("recipe") != RECIPE:
        raise ValueError(f"its recipe is {record.get('recipe')}, but this version's is {RECIPE}")
    if not record["made_by"]:
        raise ValueError("it does not name the version that made it")
    samples, end = record["samples"], experiment.reached(experiment.samples)
    if samples != end if whole else samples < 0:  # a checkpoint keeps its first settings
        raise ValueError(f"it claims {samples} samples, but should have {end}")
    about = {name: getattr(experiment, name) for name in MEASURES[experiment.measure]}
    about |= {"seed": experiment.seed}
    value, points, before = experiment.measure, Counter[int](), 0
    for row in record["curve"]:
        if {name: row.get(name) for name in about} != about:
            raise ValueError(f"a row of its curve belongs to another run: {row}")
        at = row["samples"]
        if not before <= at <= samples or row["split"] not in SPLITS[value]:
            raise ValueError(f"a row of its curve has wrong samples or a wrong split: {row}")
        if not math.isfinite(row[value]):
            raise ValueError(f"a row of its curve has no finite value: {row}")
        points[at] += row["split"] in ("train", "test")
        before = at
    if set(points.values()) - {2}:
        raise ValueError("a point of its curve lacks one of the splits")
    if whole and before != end:
        raise ValueError(f"its curve ends at {before} samples, but the run at {end}")
    return experiment


def check_model(model: LatentVariableModel, experiment: Experiment, samples: int) -> None:
    """Raise ValueError unless the model's algorithm and samples are those given."""
    if type(model) is not ALGORITHMS[experiment.algorithm]:
        raise ValueError(
            f"it is a {type(model).__name__}, but the run's algorithm is {experiment.algorithm}"
        )
    if model.samples_evaluated != samples:
        raise ValueError(
            f"it has learned from {model.samples_evaluated} samples, not from {samples}"
        )
