"""Whether the encoder or the decoder overfits at the paper's whole budget.

python benchmarks/validation/overfitting.py

Takes AEVB's models of figure 2, preset `paper`, at 10^7 and 10^8 samples from the store. Computes
the mean lower bound of 400 points of the training set and 400 of the test set, and log p(x) of the
same points by importance sampling, in nats. The difference is KL(q(z|x) || p(z|x)) (eq. 1), the
error of the encoder; log p(x) depends on the decoder alone. Writes overfitting.csv.
"""

import common
import numpy as np
import pandas as pd

from vae_keras import datasets, marginal_likelihood
from vae_keras.reproduction import runs
from vae_keras.reproduction.experiments import Experiment

POINTS = 400  # of each set
SIZES = {"mnist": (3, 5, 10, 20), "frey_face": (2, 5, 10, 20)}
SAMPLES = (10**7, 10**8)


def main() -> None:
    """Write the table; see the module."""
    data = {name: datasets.load(name) for name in SIZES}
    chosen = [
        Experiment(name, latent_dim, samples)
        for name, sizes in SIZES.items()
        for latent_dim in sizes
        for samples in SAMPLES
    ]
    rows = []
    for run in runs.run_all([(experiment, data[experiment.dataset]) for experiment in chosen]):
        experiment = run.experiment
        sets = {"train": experiment.training_set(run.data), "test": run.data.x_test}
        for split, x in sets.items():
            some = np.random.default_rng(0).permutation(len(x))[:POINTS]
            x = experiment.pixels(x[some])
            bound = run.model.evaluate(x, batch_size=100, verbose=0, return_dict=True)["elbo"]
            found = marginal_likelihood.importance_sampling(run.model, x, prior_share=0.1)
            rows.append(
                {
                    "dataset": experiment.dataset,
                    "latent_dim": experiment.latent_dim,
                    "samples": experiment.samples,
                    "split": split,
                    "bound": bound,
                    "log_likelihood": found.log_likelihood.mean(),
                    "encoder": found.log_likelihood.mean() - bound,
                    "error": np.sqrt(np.sum(found.error**2)) / POINTS,
                }
            )
            print(rows[-1], flush=True)
    common.write(__file__, pd.DataFrame(rows).round(2))


if __name__ == "__main__":
    main()
