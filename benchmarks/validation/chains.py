"""How much the random numbers of the chains change the estimates of figure 3.

python benchmarks/validation/chains.py

Takes figure 3's models of seed 0, preset `paper`, from the store. Estimates log p(x) of the
figure's own points by appendix D, with chains of six seeds. The figure uses the first of these. A
chain stays in the mode in which it began. Writes to chains.csv, in nats, the mean over the points
for each seed, and the mean of each point's highest estimate, which is nearer to log p(x) if
posteriors have several modes.
"""

import common
import numpy as np
import pandas as pd

from vae_keras import marginal_likelihood
from vae_keras.reproduction import measures, runs
from vae_keras.reproduction.settings import MarginalLikelihood

SEEDS = range(6)


def main() -> None:
    """Write the table; see the module."""
    chosen = [
        (experiment, data)
        for experiment, data in MarginalLikelihood(preset="paper").runs()
        if experiment.seed == 0
    ]
    rows = []
    for run in runs.run_all(chosen):
        experiment = run.experiment
        sets = {"train": experiment.training_set(run.data), "test": run.data.x_test}
        n = measures.points(measures.ESTIMATED, run.samples)
        x = np.concatenate([experiment.pixels(points[:n]) for points in sets.values()])
        estimates = [marginal_likelihood.appendix_d(run.model, x, seed=seed) for seed in SEEDS]
        nats = np.reshape([found.log_likelihood for found in estimates], (len(SEEDS), 2, n))
        for split, found in zip(sets, np.moveaxis(nats, 1, 0), strict=True):
            means = found.mean(1)
            rows.append(
                {
                    "n_train": experiment.n_train,
                    "algorithm": experiment.algorithm,
                    "samples": run.samples,
                    "split": split,
                    **{f"seed {seed}": mean for seed, mean in zip(SEEDS, means, strict=True)},
                    "deviation": means.std(ddof=1),
                    "highest": found.max(0).mean(),
                }
            )
            print(rows[-1], flush=True)
    common.write(__file__, pd.DataFrame(rows).round(2))


if __name__ == "__main__":
    main()
