"""The bounds after 10^6 training samples, with real data and the paper's recipe.

tests/run_all.sh --all tests/themes/test_paper_bounds.py -rP     # prints the numbers reached
"""

import pytest

from vae_keras import datasets
from vae_keras.reproduction import experiments, runs

# data set, N_z, least train bound, least test bound, the paper's own (train, test)
TABLE = [
    ("mnist", 20, -126, -124, (-126.3, -124.2)),
    ("frey_face", 2, 700, 700, (664, 673)),
]


@pytest.mark.long
@pytest.mark.real_data
@pytest.mark.parametrize(("name", "latent_dim", "train", "test", "paper"), TABLE)
def test_the_bound_after_a_million_samples(name, latent_dim, train, test, paper):
    experiment = experiments.Experiment(name, latent_dim, 1_000_000)
    run = runs.run(experiment, datasets.load(name))
    reached = {row["split"]: row["lower_bound"] for row in run.record["curve"]}
    print(f"{name}, N_z = {latent_dim}, seed 0: {reached} nats; the paper: {paper}")
    assert reached["train"] >= train
    assert reached["test"] >= test
