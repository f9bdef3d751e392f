"""The first rows of table 1 of Burda et al. (2015), arXiv 1509.00519, by this kit.

    .venv/bin/python benchmarks/validation/iwae.py                       # the VAE, k = 1
    .venv/bin/python benchmarks/validation/iwae.py --k 5 --estimator IW  # the IWAE, k = 5
    .venv/bin/python benchmarks/validation/iwae.py --as-theirs optimizer data weights --points 364

One stochastic layer of 50 units, two of 200 tanh units on either side of it, MNIST with its pixels
drawn anew each time that a digit comes, 3,280 passes over 60,000 digits. The model is saved every
few passes: a run that was killed goes on, to the same numbers. Each of `--points` adds a row to
iwae.csv: the bound, and the negative log likelihood by importance sampling. Training ends at the
last of them. docs/published.md has the table.

Their code does three things in another way than their paper says or than this kit does by itself.
`--as-theirs` does what it names of them as their code does:

- optimizer: Adam with beta_1 = 0.99 and the mean square of the gradients begun at 1, each step by
  the moments before it; learning rates of two digits.
- data: the first 59,600 digits, in the same order in each pass.
- weights: drawn from one seed for all layers, so that the mean and log sigma begin equal.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
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
RATES = [1e-3 * 10 ** (-i / 7) for i in range(8)]  # the learning rate of each stage
ENDS = np.cumsum([3**i for i in range(8)]).tolist()  # and the passes after which it ends
POINTS = sorted({*ENDS, 700, 1600, 2200})  # passes after which a row is written
SAVED_EVERY = 10  # passes
ALL_FROM = 121  # passes; before, every tenth test digit is measured, to save hours
SAMPLES = 5000  # of importance sampling
PUBLISHED = {("A", 1): 86.76, ("A", 5): 86.47, ("IW", 5): 85.54}  # (estimator, k): NLL at the end
ROW = ["estimator", "k", "seed", "as_theirs", "passes"]  # which row it is
AS_THEIRS = ("optimizer", "data", "weights")  # what `--as-theirs` may name
THEIR_DIGITS = 59_600


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


@keras.saving.register_keras_serializable(package="iwae")
class TheirAdam(keras.optimizers.Adam):
    """Adam as in their code, for gradients that are means over `MINIBATCH` digits."""

    def __init__(self, learning_rate, **kwargs):
        super().__init__(learning_rate, **{"beta_1": 0.99, "epsilon": 1e-4, **kwargs})

    def build(self, variables):
        begins = not self.built
        super().build(variables)
        if begins:
            for mean_square in self._velocities:
                mean_square.assign(tf.ones_like(mean_square))

    def update_step(self, gradient, variable, learning_rate):
        at = self._get_variable_index(variable)
        mean, mean_square = self._momentums[at], self._velocities[at]
        gradient = gradient * MINIBATCH  # theirs are sums
        steps = tf.cast(self.iterations + 1, gradient.dtype)
        rate = learning_rate * tf.sqrt(1 - self.beta_2**steps) / (1 - self.beta_1**steps)
        # All updates of Theano take the values from before the step.
        variable.assign_sub(rate * mean / (tf.sqrt(mean_square) + self.epsilon))
        mean.assign_add((1 - self.beta_1) * (gradient - mean))
        mean_square.assign_add((1 - self.beta_2) * (tf.square(gradient) - mean_square))


def untrained(
    estimator: str, k: int, seed: int, train: np.ndarray, as_theirs: Sequence[str] = ()
) -> Redrawn:
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
    if "weights" in as_theirs:
        for kernel in (w for w in vae.trainable_variables if w.name == "kernel"):
            end = np.sqrt(6 / sum(kernel.shape))
            kernel.assign(np.random.RandomState(123).uniform(-end, end, kernel.shape))
    rates = schedule(len(train), as_theirs)
    # Their gradients, to whose size epsilon is added, are sums over a minibatch: 20 times ours.
    adam = keras.optimizers.Adam(rates, epsilon=1e-4 / MINIBATCH)
    vae.compile(TheirAdam(rates) if "optimizer" in as_theirs else adam)
    return vae


def schedule(
    digits: int, as_theirs: Sequence[str] = ()
) -> keras.optimizers.schedules.LearningRateSchedule:
    """The eight learning rates, for passes over that many digits."""
    steps = -(-digits // MINIBATCH)
    rates = [round(rate, 5) for rate in RATES] if "optimizer" in as_theirs else RATES
    # Keras includes a boundary in what comes before it, and counts iterations from 0.
    return keras.optimizers.schedules.PiecewiseConstantDecay(
        [end * steps - 1 for end in ENDS[:-1]], rates
    )


def passes(vae: Redrawn, train: np.ndarray) -> int:
    """How many the model has had."""
    return vae.examples_seen // len(train)


def save(vae: Redrawn, file: Path) -> None:
    """Save the model; killed meanwhile, the one saved before remains."""
    written = file.with_suffix(".part.keras")
    vae.save(written)
    written.replace(file)


def go_on(vae: Redrawn, train: np.ndarray, end: int, file: Path, shuffle: bool = True) -> None:
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
        shuffle=shuffle,
        initial_epoch=passes(vae, train),
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=after_a_pass)],
        verbose=1 if sys.stdout.isatty() else 2,
    )


def measured(vae: Redrawn, train: np.ndarray, test: np.ndarray, as_theirs: Sequence[str]) -> dict:
    """The rest of a row of the table, of the model as it is; `test`: binary digits."""
    vae.set_evaluation_noise(0)
    began = time.perf_counter()
    nats = marginal_likelihood.importance_sampling(vae, test, SAMPLES).log_likelihood
    rate = float(schedule(len(train), as_theirs)(vae.optimizer.iterations - 1))
    return {
        "learning_rate": float(f"{rate:.3g}"),
        "bound": round(float(vae.elbo(test).mean()), 4),
        "nll": round(-float(nats.mean()), 4),
        "digits": len(test), "samples": SAMPLES,
        "seconds": round(float(vae.seconds)),
        "seconds_nll": round(time.perf_counter() - began),
        "device": provenance.device(),
    }  # fmt: skip


def run(
    estimator: str,
    k: int,
    seed: int,
    points: Sequence[int],
    data: datasets.Dataset,
    state: Path,
    as_theirs: Sequence[str] = (),
) -> None:
    """Go on with a run, from what is saved of it, and add its rows after so many passes."""
    as_theirs = [part for part in AS_THEIRS if part in as_theirs]
    of_theirs = "data" in as_theirs
    train = data.x_train[:THEIR_DIGITS] if of_theirs else data.x_train
    test = pixels.binarised(data.x_test)
    state.mkdir(parents=True, exist_ok=True)
    file = state / f"{'_'.join([estimator, str(k), str(seed), *as_theirs])}.keras"
    if file.exists():
        vae = keras.models.load_model(file)
    else:
        vae = untrained(estimator, k, seed, train, as_theirs)
    for point in sorted(points):
        if passes(vae, train) > point:
            continue
        if passes(vae, train) < point:
            go_on(vae, train, point, file, shuffle=not of_theirs)
        which = (estimator, k, seed, " ".join(as_theirs) or "nothing", point)
        if which in set(written()[ROW].itertuples(index=False, name=None)):
            continue
        row = dict(zip(ROW, which, strict=True)) | measured(
            vae, train, test if point >= ALL_FROM else test[::10], as_theirs
        )
        print(row, flush=True)
        # Read again: another run may have added rows meanwhile.
        rows = pd.DataFrame([*written().to_dict("records"), row]).sort_values(ROW)
        _files.replace(TABLE, rows.to_csv(index=False).encode())


def written() -> pd.DataFrame:
    """The table as it is."""
    return pd.read_csv(TABLE) if TABLE.exists() else pd.DataFrame(columns=ROW)


def main() -> None:
    """Train, print and write the table; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--k", type=int, default=1, help="samples of z per digit")
    parser.add_argument("--estimator", default="A", choices=["A", "B", "IW"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--as-theirs", nargs="*", default=[], choices=AS_THEIRS)
    parser.add_argument("--points", nargs="*", type=int, default=POINTS, help="passes; a row each")
    parser.add_argument("--state", type=Path, default=Path("results/iwae"), help="saved models")
    asked = parser.parse_args()
    data = datasets.load("mnist")
    of = asked.estimator, asked.k, asked.seed
    run(*of, asked.points, data, asked.state, asked.as_theirs)


if __name__ == "__main__":
    main()
