"""A curve of an experiment whose model was changed by hand before it learned.

For what no setting of an `Experiment` says; nothing of it goes into the store.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pandas as pd
import tensorflow as tf
from tqdm import tqdm

from vae_keras import datasets
from vae_keras.models import LatentVariableModel
from vae_keras.reproduction import measures, paper
from vae_keras.reproduction.experiments import Experiment

Change = Callable[[LatentVariableModel], None]
Task = tuple[str, Experiment, Change]  # what it is called, what is changed, and how


def unchanged(model: LatentVariableModel) -> None:
    """As the experiment has it, beside those that were changed."""


def curve(task: Task) -> pd.DataFrame:
    """Train the changed model, measured where a run of the experiment would be."""
    variation, experiment, change = task
    data = datasets.load(experiment.dataset)
    model = experiment.build(data)
    change(model)
    splits = {
        "train": experiment.pixels(experiment.training_set(data)),
        "test": experiment.pixels(data.x_test),
    }
    x = tf.convert_to_tensor(splits["train"])
    points, begins = (
        {experiment.minibatches(n) for n in places(experiment, experiment.samples)}
        for places in (measures.grid, measures.running_mean_starts)
    )
    warm = experiment.warm_minibatches
    done, seen, bounds, rows = 0, 0, 0.0, []
    for stop in sorted(points | begins | {warm}):
        if steps := stop - done:
            model.optimizer.learning_rate = experiment.step_size if done >= warm else 0.0
            history = model.fit(
                x,
                batch_size=experiment.batch_size,
                shuffle=experiment.order,
                steps_per_epoch=steps,
                verbose=0,
            ).history
            bounds, seen, done = bounds + steps * history["elbo"][-1], seen + steps, stop
        if stop in points:
            rows += measures.measure(experiment, model, splits, bounds / seen)
        if stop in begins:
            bounds, seen = 0.0, 0
    return pd.DataFrame(rows).assign(variation=variation)


def differences(tasks: Iterable[Task]) -> pd.DataFrame:
    """Ours minus the paper's of each variation, as `paper.differences` has it; a process a core."""
    tasks = list(tasks)
    os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        curves = pd.concat(tqdm(pool.map(curve, tasks), total=len(tasks)))
    return pd.concat(
        paper.differences(of_it).assign(variation=variation, seeds=of_it.seed.nunique())
        for variation, of_it in curves.groupby("variation")
    )
