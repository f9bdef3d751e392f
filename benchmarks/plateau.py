"""Why the paper's wake-sleep never leaves the plateau on Frey Face: an encoder that does not learn.

python benchmarks/plateau.py [--samples 600000] [--seeds 0 1 2] [--only "at rest, step 0.01" ...]

Trains wake-sleep on Frey Face with each N_z of which the paper's points are known: with an encoder
that learns and with one that stays as it begins, with both step sizes. Writes what it is worth at
the paper's own points to plateau.csv, in place of the same curve's rows up to there, in nats.
"""

import argparse
import itertools
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import keras
import pandas as pd
import tensorflow as tf
from tqdm import tqdm

from vae_keras import datasets
from vae_keras.reproduction import measures, paper
from vae_keras.reproduction.experiments import Experiment

VARIATIONS = {
    f"{encoder}, step {step}": (encoder == "learns", step)
    for encoder in ("at rest", "learns")
    for step in (0.01, 0.02)
}
SIZES = (2, 10, 20)
TABLE = Path(__file__).with_suffix(".csv")


def trained(task: tuple[str, int, int, int]) -> pd.DataFrame:
    """The curve of one run, at the paper's points: variation, N_z, seed and samples."""
    variation, latent_dim, seed, samples = task
    learns, step = VARIATIONS[variation]
    data = datasets.load("frey_face")
    experiment = Experiment(
        "frey_face", latent_dim, samples, "wake_sleep", step_size=step, seed=seed
    )
    model = experiment.build(data)
    model.encoder.trainable = learns
    splits = {
        "train": experiment.pixels(experiment.training_set(data)),
        "test": experiment.pixels(data.x_test),
    }
    x = tf.convert_to_tensor(splits["train"])
    points = {experiment.minibatches(n) for n in measures.grid(experiment, samples)}
    begins = {experiment.minibatches(n) for n in measures.begins(experiment, samples)}
    warm = experiment.warm_minibatches
    done, seen, bounds, rows = 0, 0, 0.0, []
    for stop in sorted(points | begins | {warm}):
        if steps := stop - done:
            model.optimizer.learning_rate = step if done >= warm else 0.0
            history = model.fit(
                x,
                batch_size=experiment.batch_size,
                shuffle=experiment.order,
                steps_per_epoch=steps,
                verbose=0,
            ).history
            bounds, seen, done = bounds + steps * history["elbo"][-1], seen + steps, stop
        if stop in points:
            rows += measures.take(experiment, model, splits, bounds / seen)
        if stop in begins:
            bounds, seen = 0.0, 0
    return pd.DataFrame(rows).assign(variation=variation)


def main() -> None:
    """Train, and write the table; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=600_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", default=list(VARIATIONS), choices=VARIATIONS)
    asked = parser.parse_args()
    tasks = list(itertools.product(asked.only, SIZES, asked.seeds, [asked.samples]))
    os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        curves = pd.concat(tqdm(pool.map(trained, tasks), total=len(tasks)))
    found = [
        paper.differences(curve).assign(variation=variation, seeds=len(asked.seeds))
        for variation, curve in curves.groupby("variation")
    ]
    if TABLE.exists():
        found.insert(0, pd.read_csv(TABLE))
    curve = ["variation", "latent_dim", "split", "samples"]
    table = pd.concat(found).sort_values("seeds", kind="stable")  # more seeds come last, and stay
    table = table.drop_duplicates(curve, keep="last").sort_values(curve)
    table.drop(columns=["dataset", "algorithm"]).to_csv(TABLE, index=False)
    print(table.to_string(index=False))


if __name__ == "__main__":
    keras.utils.disable_interactive_logging()
    main()
