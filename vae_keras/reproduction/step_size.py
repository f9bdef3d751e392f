"""The paper's rule for Adagrad's step size: the best of three after the first few iterations."""

import math

import numpy as np

from vae_keras.callbacks import NonFiniteBoundError
from vae_keras.models import LatentVariableModel
from vae_keras.reproduction.experiments import STEP_SIZES, Experiment

FIRST_FEW = 10  # iterations, after which they are compared
SCORED = 10_000  # training points on which they are judged,
SCORED_BY_HMC = 200  # and where each takes a chain of its own


def choose(experiment: Experiment, model: LatentVariableModel, x: np.ndarray) -> dict:
    """The step size of `model`, which is left as it was, and the evidence for a record.

    `experiment`: its own step size goes before the rule. `x`: the training set. Each candidate
    begins at the model's weights once Adagrad has warmed up, and is judged by `model.score` of the
    first `SCORED` of x, in nats.
    """
    if experiment.step_size is not None:
        return {"step_size": experiment.step_size}
    points = SCORED_BY_HMC if experiment.algorithm == "mcem" else SCORED
    variables = [*model.variables, *model.optimizer.variables]

    def fit(step_size, iterations):
        model.optimizer.learning_rate.assign(step_size)
        model.fit(
            x,
            batch_size=experiment.batch_size,
            shuffle=experiment.order,
            steps_per_epoch=iterations,
            verbose=0,
        )

    at_first = [variable.numpy() for variable in variables]
    if experiment.warm_up:
        fit(0.0, experiment.warm_up)
    before = [variable.numpy() for variable in variables]
    trials = {}
    for step_size in STEP_SIZES:
        try:
            fit(step_size, FIRST_FEW)
            score = float(model.score(x[:points]).mean())
        except NonFiniteBoundError:
            score = -math.inf
        trials[str(step_size)] = round(score, 2) if math.isfinite(score) else None
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
    for variable, value in zip(variables, at_first, strict=True):
        variable.assign(value)
    best = max(STEP_SIZES, key=lambda s: -math.inf if (b := trials[str(s)]) is None else b)
    return {"step_size": best, "trials": trials}
