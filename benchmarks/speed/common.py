"""Shared by the speed benchmarks: each contender in its own process, and a record of each table."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from contenders import CONTENDERS, STEP_SIZE

HERE = Path(__file__).parent


class Contender:
    """A process that holds a contender and trains it only when it is its turn.

    `python`: the interpreter that runs it, if its library is in another environment.
    """

    def __init__(self, name, x_train, weights, step_size=STEP_SIZE, python=sys.executable):
        self.name = CONTENDERS[name].name
        self._folder = tempfile.TemporaryDirectory()
        begin = Path(self._folder.name, "begin.npz")
        np.savez(begin, *weights, x_train=x_train, step_size=step_size)
        own = () if python == sys.executable else ("PYTHONHOME", "PYTHONPATH")
        environment = {key: value for key, value in os.environ.items() if key not in own}
        # Take only the memory of the card that is needed: all contenders are there all the time.
        environment |= {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "0"}
        self._process = subprocess.Popen(
            [python, __file__, name, self._folder.name],
            env=environment | {"TF_CPP_MIN_LOG_LEVEL": "3"},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def train(self, epochs: int) -> float:
        """Train `epochs` epochs; returns the seconds that they took."""
        print(epochs, file=self._process.stdin, flush=True)
        said = []
        for line in self._process.stderr:
            said.append(line)
            try:
                return float(line)
            except ValueError:
                continue
        sys.exit("".join([f"{self.name} failed\n", *said]))

    def weights(self) -> list[np.ndarray]:
        """The weights after the last turn."""
        return _arrays(Path(self._folder.name, "end.npz"))

    def end(self) -> None:
        """End the process, so that the others have the machine to themselves."""
        self._process.communicate()


def _arrays(file):
    with np.load(file) as found:
        return [found[name] for name in found if name.startswith("arr_")]


def contend(name: str, folder: str) -> None:
    """In a separate process: train as many epochs as each line of the input says."""
    begin = Path(folder, "begin.npz")
    with np.load(begin) as data:
        x_train, step_size = data["x_train"], float(data["step_size"])
    contender = CONTENDERS[name](x_train, _arrays(begin), step_size)
    for line in sys.stdin:
        began = time.perf_counter()
        contender.train(int(line))
        taken = time.perf_counter() - began
        np.savez(Path(folder, "end.npz"), *contender.weights())
        print(f"\n{taken}", file=sys.stderr, flush=True)


def test_bound(weights: list[np.ndarray], x_test: np.ndarray) -> float:
    """The lower bound in nats by NumPy, the mean over x_test and 10 samples of z."""
    rng, w = np.random.default_rng(0), weights
    x = x_test / np.float32(255)
    mu, log_variance = np.split(np.tanh(x @ w[0] + w[1]) @ w[2] + w[3], 2, axis=-1)
    kl = -0.5 * np.sum(1 + log_variance - mu**2 - np.exp(log_variance), axis=-1).mean()
    reconstruction = []
    for _ in range(10):
        z = mu + np.exp(log_variance / 2) * rng.normal(size=mu.shape)
        logits = np.tanh(z @ w[4] + w[5]) @ w[6] + w[7]
        reconstruction.append(np.sum(x * logits - np.logaddexp(0, logits), axis=-1).mean())
    return float(np.mean(reconstruction) - kl)


def check(bounds: dict[str, float]) -> dict[str, float]:
    """The test bounds, rounded; ends the benchmark if they cannot be from the same model."""
    if (apart := max(bounds.values()) - min(bounds.values())) > 1:
        sys.exit(f"the test bounds lie {apart:.2f} nats apart: not the same model, no benchmark")
    return {name: round(bound, 2) for name, bound in bounds.items()}


def record(name: str, found: dict) -> dict:
    """Print how the table of `name`.py was made, and write it as JSON beside the table."""
    from vae_keras.reproduction import provenance

    about = {"command": f"python benchmarks/speed/{name}.py", **found}
    about |= {"device": provenance.device(), "commit": provenance.commit()}
    text = json.dumps(about, indent=2)
    print(text, flush=True)
    (HERE / f"{name}.json").write_text(f"{text}\n")
    return about


if __name__ == "__main__":
    contend(*sys.argv[1:])
