"""The VAE examples of other projects, by this kit: their published numbers beside ours.

    .venv/bin/python benchmarks/validation/published.py [--only flax ...] [--seeds 0 1 2]

There is one function per project: its networks as plain Keras models that end in a layer of
`vae_keras.layers`, its data, its optimiser. The rest is `compile` and `fit`. Bounds are in nats per
digit; larger is better. Rows go to published.csv, and replace those of the same project and seed.
Real MNIST only. docs/published.md has the table and says what differs.
"""

import argparse
import os
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pandas as pd
from keras.layers import Conv2D, Conv2DTranspose, Dense, Flatten, Reshape

from vae_keras import VAE, datasets, layers, pixels
from vae_keras.reproduction import provenance

TABLE = Path(__file__).with_name("published.csv")
IMAGE = (28, 28, 1)


@dataclass(frozen=True)
class Example:
    """A project's example, ready for `compile` and `fit`.

    `published`: epoch -> (bound, its source), to be compared with `metric` in the history that
    `fit` returns; for epoch 0 with the bound of training digits before the first step.
    """

    vae: VAE
    compile: dict
    train: np.ndarray
    test: np.ndarray | None
    fit: dict
    metric: str
    published: dict[int, tuple[float, str]]


def binarised_once(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, ...]:
    """Like Larochelle's binarised MNIST: each pixel drawn once; 50,000, 10,000, 10,000 digits."""
    rng = np.random.default_rng(0)
    drawn = [rng.binomial(1, pixels.unit(x)).astype(bool) for x in (train, test)]
    return *np.split(drawn[0], [len(train) * 5 // 6]), drawn[1]


def torch_linear(units: int, inputs: int, activation: str | None = None) -> keras.layers.Layer:
    """A Dense layer that starts like torch.nn.Linear: uniform within 1 / sqrt(inputs)."""
    bound = inputs**-0.5
    kernel, bias = (keras.initializers.RandomUniform(-bound, bound) for _ in range(2))
    return Dense(units, activation, kernel_initializer=kernel, bias_initializer=bias)


def keras_io(train: np.ndarray, test: np.ndarray) -> Example:
    """keras.io's "Variational AutoEncoder": convolutions, two latent dimensions."""
    encoder = keras.Sequential([
        keras.Input(IMAGE),
        Conv2D(32, 3, strides=2, padding="same", activation="relu"),
        Conv2D(64, 3, strides=2, padding="same", activation="relu"),
        Flatten(),
        Dense(16, "relu"),
        Dense(4),
        layers.DiagonalGaussian(2),
    ])  # fmt: skip
    decoder = keras.Sequential([
        keras.Input((2,)),
        Dense(7 * 7 * 64, "relu"),
        Reshape((7, 7, 64)),
        Conv2DTranspose(64, 3, strides=2, padding="same", activation="relu"),
        Conv2DTranspose(32, 3, strides=2, padding="same", activation="relu"),
        Conv2DTranspose(1, 3, padding="same"),
        layers.Bernoulli(IMAGE),
    ])  # fmt: skip
    page = (
        "https://github.com/keras-team/keras-io/blob/216c5a2b6c4ef626f7acd8c69b29919ee7c5e758/"
        "examples/generative/md/vae.md"
    )
    return Example(
        VAE(encoder, decoder),
        {"optimizer": keras.optimizers.Adam()},
        np.concatenate([train, test]).reshape(-1, *IMAGE),
        None,
        {"batch_size": 128, "epochs": 3},
        "elbo",
        # The page's own `loss` is a mean of running means: the progress bar averaged it again,
        # not knowing the name as a metric. The two terms are means over the epoch.
        {
            1: (-(205.1592 + 3.9604), page),
            2: (-(166.0741 + 5.6646), page),
            3: (-(157.1289 + 5.9575), page),
        },
    )


def pytorch(train: np.ndarray, test: np.ndarray) -> Example:
    """pytorch/examples/vae: 784-400-20, grey pixels."""
    encoder = keras.Sequential([
        keras.Input((784,)), torch_linear(400, 784, "relu"), torch_linear(40, 400),
        layers.DiagonalGaussian(20),
    ])  # fmt: skip
    decoder = keras.Sequential([
        keras.Input((20,)), torch_linear(400, 20, "relu"), torch_linear(784, 400),
        layers.Bernoulli(784),
    ])  # fmt: skip
    pull = "https://github.com/pytorch/examples/pull/1416"
    readme = (
        "https://github.com/kampta/pytorch-distributions/blob/"
        "d6020d6c50ef7357116726e37c7b855fee53d0a1/README.md"
    )
    return Example(
        VAE(encoder, decoder),
        # Its loss is the sum over a minibatch, 128 times ours, and so are its gradients, to whose
        # size epsilon is added.
        {"optimizer": keras.optimizers.Adam(1e-3, epsilon=1e-8 / 128)},
        train,
        test,
        {"batch_size": 128, "epochs": 10},
        "val_elbo",
        {7: (-106.6624, pull), 10: (-105.5890, readme)},
    )


def flax(train: np.ndarray, test: np.ndarray) -> Example:
    """google/flax/examples/vae: 784-500-20, pixels binarised once."""
    train, _, test = binarised_once(train, test)
    encoder = keras.Sequential([
        keras.Input((784,)), Dense(500, "relu", kernel_initializer="lecun_normal"),
        Dense(40, kernel_initializer="lecun_normal"), layers.DiagonalGaussian(20),
    ])  # fmt: skip
    decoder = keras.Sequential([
        keras.Input((20,)), Dense(500, "relu", kernel_initializer="lecun_normal"),
        Dense(784, kernel_initializer="lecun_normal"), layers.Bernoulli(784),
    ])  # fmt: skip
    pull = "https://github.com/google/flax/pull/1361"
    return Example(
        VAE(encoder, decoder),
        {"optimizer": keras.optimizers.Adam(1e-3, epsilon=1e-8)},
        train,
        test,
        {"batch_size": 128, "epochs": 10, "steps_per_epoch": 390, "shuffle": "passes"},
        "val_elbo",
        {1: (-119.7388, pull), 2: (-112.0471, pull), 5: (-106.0630, pull), 10: (-103.5992, pull)},
    )


def altosaar(train: np.ndarray, test: np.ndarray) -> Example:
    """jaanli/variational-autoencoder: 784-256-256-128, binarised, softplus scales, estimator A."""
    train, validation, _ = binarised_once(train, test)
    encoder = keras.Sequential([
        keras.Input((784,)), torch_linear(256, 784, "relu"), torch_linear(256, 256, "relu"),
        torch_linear(256, 256), layers.TFPDistribution("Normal", 128),
    ])  # fmt: skip
    decoder = keras.Sequential([
        keras.Input((128,)), torch_linear(256, 128, "relu"), torch_linear(256, 256, "relu"),
        torch_linear(784, 256), layers.Bernoulli(784),
    ])  # fmt: skip
    readme = (
        "https://github.com/jaanli/variational-autoencoder/blob/"
        "2dd2a786edf8018ffe7bf5c2d5713e802cfbc198/README.md"
    )
    # Keras adds epsilon below the root. PyTorch's, 1e-8 of a sum over 128 digits, would be so
    # small there that rounding could make the root's argument negative.
    optimizer = keras.optimizers.RMSprop(1e-3, rho=0.99, centered=True, epsilon=1e-14)
    return Example(
        VAE(encoder, decoder, estimator="A"),
        {"optimizer": optimizer},
        train,
        validation,
        {"batch_size": 128, "epochs": 10, "steps_per_epoch": 1000, "shuffle": "passes"},
        "val_elbo",
        {0: (-558.027, readme), 10: (-109.048, readme)},
    )


EXAMPLES = {"keras": keras_io, "pytorch": pytorch, "flax": flax, "altosaar": altosaar}


def train(name: str, seed: int, data: datasets.Dataset) -> pd.DataFrame:
    """Train an example, and compare the published numbers with ours: one row per number."""
    keras.utils.set_random_seed(seed)
    example = EXAMPLES[name](data.x_train, data.x_test)
    vae = example.vae
    here = {0: vae.elbo(example.train[:1000]).mean()}
    began = time.perf_counter()
    vae.compile(**example.compile)
    fitted = vae.fit(example.train, validation_data=example.test, verbose=2, **example.fit)
    about = {"seed": seed, "seconds": round(time.perf_counter() - began)}
    here |= dict(enumerate(fitted.history[example.metric], 1))
    rows = [
        {
            "project": name, "metric": example.metric, "epoch": epoch,
            "samples": vae.samples_evaluated * epoch // example.fit["epochs"],
            "published": round(bound, 4), "here": round(float(here[epoch]), 4),
            **about, "device": provenance.device(), "source": source,
        }
        for epoch, (bound, source) in example.published.items()
    ]  # fmt: skip
    return pd.DataFrame(rows)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """One row per published number: the mean of our seeds, their spread and the difference."""
    groups = table.groupby(["project", "epoch", "samples", "published"], sort=False)
    found = groups.here.agg(here="mean", spread="std", seeds="count").reset_index()
    return found.assign(difference=found.here - found.published)


def main() -> None:
    """Train, print and write the table; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=list(EXAMPLES), choices=list(EXAMPLES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    asked = parser.parse_args()
    data = datasets.load("mnist")
    for seed in asked.seeds:
        for name in asked.only:
            rows = train(name, seed, data)
            if TABLE.exists():
                before = pd.read_csv(TABLE)
                kept = before[(before.project != name) | (before.seed != seed)]
                rows = pd.concat([kept, rows])
            rows = rows.sort_values(["project", "seed", "epoch"])
            rows.to_csv(TABLE, index=False)
    print(summary(rows).round(2).to_string(index=False))


if __name__ == "__main__":
    main()
