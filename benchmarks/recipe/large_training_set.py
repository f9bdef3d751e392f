"""Figure 3 with N_train = 50,000: which step size and which quantity fit the paper's curves.

python benchmarks/recipe/large_training_set.py [--samples 60000000] [--seeds 0 1 2] [--only NAME]

Trains each variation or, with VAE_KERAS_NO_TRAINING=1, uses what the store has of it. Writes to
large_training_set.csv, at the paper's own points, the paper's value and the means over the seeds of
log p(x) by appendix D and of the lower bound of the same points, in nats. Runs in the store are not
trained again. Rows of the table at other points, or of more seeds, are kept.
"""

import argparse
from pathlib import Path

import common
import pandas as pd

from vae_keras import datasets
from vae_keras.reproduction import paper, runs
from vae_keras.reproduction.experiments import Experiment

SLOW = 0.1  # the factor of the encoder's log variances
VARIATIONS = {
    "aevb, step 0.02, slow": ("aevb", 0.02, SLOW),
    "aevb, step 0.1, slow": ("aevb", 0.1, SLOW),
    "wake_sleep, step 0.02": ("wake_sleep", 0.02, 1.0),
    "wake_sleep, step 0.1, slow": ("wake_sleep", 0.1, SLOW),
    "mcem, step 0.01": ("mcem", 0.01, SLOW),
    "mcem, step 0.02": ("mcem", 0.02, SLOW),
    "mcem, step 0.1": ("mcem", 0.1, SLOW),
}


def of(name: str, samples: int, seed: int) -> Experiment:
    """The run of a variation with a seed."""
    algorithm, step_size, scale = VARIATIONS[name]
    return Experiment(
        "mnist", 3, samples, algorithm, hidden=100, n_train=50_000, seed=seed, step_size=step_size,
        log_variance_scale=scale, measure="marginal_log_likelihood",
    )  # fmt: skip


def compared(curves: pd.DataFrame) -> pd.DataFrame:
    """Ours beside the paper's, by appendix D and by the bound, for the curves of one variation."""
    found = paper.differences(curves).rename(columns={"here": "appendix_d"})
    if "seeds" not in found:  # of one seed only
        found = found.assign(seeds=1)
    bounds = curves.assign(marginal_log_likelihood=curves.lower_bound.astype(float))
    by_bound = paper.differences(bounds).set_index(["split", "samples"]).here
    table = found.set_index(["split", "samples"])[["paper", "appendix_d", "seeds"]].join(by_bound)
    return table.rename(columns={"here": "lower_bound"}).reset_index()


def main() -> None:
    """Train, or take what is in the store, and write the table; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=60_000_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", default=list(VARIATIONS), choices=VARIATIONS)
    asked = parser.parse_args()
    data = datasets.load("mnist")
    experiments = {n: [of(n, asked.samples, s) for s in asked.seeds] for n in asked.only}
    every = [(e, data) for one in experiments.values() for e in one]
    trained = {run.experiment: run for run in runs.run_all(every, models=False)}
    found = []
    for name, chosen in experiments.items():
        if there := [trained[e] for e in chosen if e in trained]:
            found.append(compared(runs.table(there)).assign(variation=name))
    columns = ["variation", "split", "samples", "paper", "appendix_d", "lower_bound", "seeds"]
    new = common.update(Path(__file__).with_suffix(".csv"), pd.concat(found)[columns], columns[:3])
    apart = new.assign(
        appendix_d=new.appendix_d - new.paper, lower_bound=new.lower_bound - new.paper
    )
    late = apart[apart.samples >= 2_000_000].groupby(["variation", "split"])
    print(late[["appendix_d", "lower_bound"]].agg(["min", "max"]).round(1).to_string())


if __name__ == "__main__":
    main()
