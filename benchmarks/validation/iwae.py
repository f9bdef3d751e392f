"""The first rows of table 1 of Burda et al. (2015), arXiv 1509.00519, by this kit.

    .venv/bin/python benchmarks/validation/iwae.py                       # the VAE, k = 1
    .venv/bin/python benchmarks/validation/iwae.py --k 5 --estimator IW  # the IWAE, k = 5

One stochastic layer of 50 units, two of 200 tanh units on either side of it, MNIST with its pixels
drawn anew each time that a digit comes, 3,280 passes over 60,000 digits. The model is saved every
few passes: a run that was killed goes on, to the same numbers. `--passes` ends one early. Each of
`POINTS` adds a row to iwae.csv: the bound, and the negative log likelihood by importance sampling.
docs/published.md has the table and says what differs.
"""

import argparse
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from keras.layers import Concatenate, Dense, Rescaling

from vae_keras import VAE, _files, datasets, layers, marginal_likelihood, pixels
from vae_keras.reproduction import provenance

TABLE = Path(__file__).with_name("iwae.csv")
PIXELS, HIDDEN, LATENT = 784, 200, 50
MINIBATCH = 20
STAGES = [(3**i, 1e-3 * 10 ** (-i / 7)) for i in range(8)]  # passes, learning rate
ENDS = np.cumsum([passes for passes, _ in STAGES]).tolist()
POINTS = sorted({*ENDS, 700, 1600, 2200})  # passes after which a row is written
SAVED_EVERY = 10  # passes
ALL_FROM = 121  # passes; before, every tenth test digit is measured, to save hours
SAMPLES = 5000  # of importance sampling
PUBLISHED = {("A", 1): 86.76, ("A", 5): 86.47, ("IW", 5): 85.54}  # (estimator, k): NLL at the end
ROW = ["estimator", "k", "seed", "passes"]  # which row it is


@keras.saving.register_keras_serializable(package="iwae")
class Redrawn(VAE):
    """A VAE whose `fit` on grey digits draws their pixels each time: p(white) = intensity."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        # A weight, so that it is saved with the model.
        self.seconds = self.add_weight(name="seconds", initializer="zeros", trainable=False)

    def minibatch(self, x, rows):
        grey = pixels.intensities(super().minibatch(x, rows))
        # Like all of the model's noise, it goes on where a saved model left off.
        seed = self.noise_seed(training=True)
        noise = tf.random.stateless_uniform(tf.shape(grey), seed, alg="philox")
        return tf.cast(noise < grey, tf.float32)


def untrained(estimator: str, k: int, seed: int, train: np.ndarray) -> Redrawn:
    """The model of the paper before the first step, compiled; `train`: grey digits."""
    keras.utils.set_random_seed(seed)
    x = keras.Input((PIXELS,))
    hidden = Dense(HIDDEN, "tanh")(Dense(HIDDEN, "tanh")(x))
    # Their second output is log sigma, not log sigma^2.
    heads = [Dense(LATENT)(hidden), Rescaling(2.0)(Dense(LATENT)(hidden))]
    encoder = keras.Model(x, layers.DiagonalGaussian(LATENT)(Concatenate()(heads)))
    # The decoder begins at the mean image, as in their code.
    mean = np.clip(pixels.unit(train).mean(axis=0), 0.001, 0.999)
    begin = keras.initializers.Constant(np.log(mean / (1 - mean)).tolist())
    decoder = keras.Sequential([
        keras.Input((LATENT,)), Dense(HIDDEN, "tanh"), Dense(HIDDEN, "tanh"),
        Dense(PIXELS, bias_initializer=begin), layers.Bernoulli(PIXELS),
    ])  # fmt: skip
    vae = Redrawn(encoder, decoder, estimator=estimator, n_samples=k, seed=seed)
    # Their gradients, to whose size epsilon is added, are sums over a minibatch: 20 times ours.
    vae.compile(keras.optimizers.Adam(schedule(len(train)), epsilon=1e-4 / MINIBATCH))
    return vae


def schedule(digits: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """The eight learning rates, for passes over that many digits."""
    steps = -(-digits // MINIBATCH)
    # Keras includes a boundary in what comes before it, and counts iterations from 0.
    return keras.optimizers.schedules.PiecewiseConstantDecay(
        [end * steps - 1 for end in ENDS[:-1]], [rate for _, rate in STAGES]
    )


def passes(vae: Redrawn, train: np.ndarray) -> int:
    """How many the model has had."""
    return vae.examples_seen // len(train)


def save(vae: Redrawn, file: Path) -> None:
    """Save the model; killed meanwhile, the one saved before remains."""
    written = file.with_suffix(".part.keras")
    vae.save(written)
    written.replace(file)


def go_on(vae: Redrawn, train: np.ndarray, end: int, file: Path) -> None:
    """Train until `end` passes are done, and save the model now and then and at the end."""
    began = time.perf_counter()

    def after_a_pass(epoch, logs):
        nonlocal began
        now = time.perf_counter()
        vae.seconds.assign_add(now - began)
        if (epoch + 1) % SAVED_EVERY == 0 or epoch + 1 == end:
            save(vae, file)
        began = now

    vae.fit(
        train,
        batch_size=MINIBATCH,
        epochs=end,
        initial_epoch=passes(vae, train),
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=after_a_pass)],
        verbose=1 if sys.stdout.isatty() else 2,
    )


def measured(vae: Redrawn, train: np.ndarray, test: np.ndarray) -> dict:
    """A row of the table, of the model as it is; `test`: binary digits."""
    vae.set_evaluation_noise(0)
    began = time.perf_counter()
    nats = marginal_likelihood.importance_sampling(vae, test, SAMPLES).log_likelihood
    return {
        "estimator": vae.estimator, "k": vae.n_samples, "seed": vae.seed,
        "passes": passes(vae, train),
        "learning_rate": float(f"{float(schedule(len(train))(vae.optimizer.iterations - 1)):.3g}"),
        "bound": round(float(vae.elbo(test).mean()), 4),
        "nll": round(-float(nats.mean()), 4),
        "digits": len(test), "samples": SAMPLES,
        "seconds": round(float(vae.seconds)),
        "seconds_nll": round(time.perf_counter() - began),
        "device": provenance.device(),
    }  # fmt: skip


def run(estimator: str, k: int, seed: int, end: int, data: datasets.Dataset, state: Path) -> None:
    """Go on with a run, from what is saved of it, up to `end` passes."""
    train, test = data.x_train, pixels.binarised(data.x_test)
    state.mkdir(parents=True, exist_ok=True)
    file = state / f"{estimator}_{k}_{seed}.keras"
    vae = keras.models.load_model(file) if file.exists() else untrained(estimator, k, seed, train)
    for point in sorted({*POINTS, end}):
        if not passes(vae, train) <= point <= end:
            continue
        if passes(vae, train) < point:
            go_on(vae, train, point, file)
        rows = pd.read_csv(TABLE) if TABLE.exists() else pd.DataFrame(columns=ROW)
        if (estimator, k, seed, point) in set(rows[ROW].itertuples(index=False, name=None)):
            continue
        row = measured(vae, train, test if point >= ALL_FROM else test[::10])
        print(row, flush=True)
        rows = pd.DataFrame([*rows.to_dict("records"), row]).sort_values(ROW)
        _files.replace(TABLE, rows.to_csv(index=False).encode())


def main() -> None:
    """Train, print and write the table; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--k", type=int, default=1, help="samples of z per digit")
    parser.add_argument("--estimator", default="A", choices=["A", "B", "IW"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--passes", type=int, default=ENDS[-1], help="end after as many")
    parser.add_argument("--state", type=Path, default=Path("results/iwae"), help="saved models")
    asked = parser.parse_args()
    data = datasets.load("mnist")
    run(asked.estimator, asked.k, asked.seed, asked.passes, data, asked.state)


if __name__ == "__main__":
    main()
