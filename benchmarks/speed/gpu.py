"""Training on one GPU: this kit beside JAX, turn by turn.

    python benchmarks/speed/gpu.py                 # JAX installed beside TensorFlow
    python benchmarks/speed/gpu.py --jax PYTHON    # or in an environment that PYTHON runs

The model and the data are those of speed.py; both begin with the same weights, and after as many
epochs must have the same test bound. Writes gpu.csv and gpu.json. Real MNIST only.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from contenders import BATCH, CONTENDERS, STEP_SIZE, initial_weights

HERE = Path(__file__).parent
FOLDER = "VAE_KERAS_BENCHMARK"  # in the environment of a contender's process: where the data are


def contend(name: str) -> None:
    """In a process of its own: train as many epochs as each line of the input says."""
    with np.load(Path(os.environ[FOLDER]) / "data.npz") as data:
        contender = CONTENDERS[name](data["x_train"], initial_weights(0), STEP_SIZE)
    for line in sys.stdin:
        began = time.perf_counter()
        contender.train(int(line))
        taken = time.perf_counter() - began
        np.savez(Path(os.environ[FOLDER]) / f"{name}.npz", *contender.weights())
        print(f"\n{taken}", file=sys.stderr, flush=True)


class Contender:
    """A process that trains a contender when it is its turn."""

    def __init__(self, name: str, python: str, folder: Path):
        own = {} if python == sys.executable else dict.fromkeys(("PYTHONHOME", "PYTHONPATH"))
        environment = os.environ | {FOLDER: str(folder)} | own
        # Of the card's memory, only what they need: both are there all the time.
        environment |= {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "0"}
        self._process = subprocess.Popen(
            [python, __file__, "--contend", name],
            env={key: value for key, value in environment.items() if value is not None},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def train(self, epochs: int) -> float:
        """The seconds that so many epochs took."""
        print(epochs, file=self._process.stdin, flush=True)
        said = []
        for line in self._process.stderr:
            said.append(line)
            try:
                return float(line)
            except ValueError:
                continue
        sys.exit("".join(said))


def main() -> None:
    """Run the benchmark; see the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jax", default=sys.executable, help="the Python that has JAX")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10, help="trained in each turn")
    parser.add_argument("--contend", choices=CONTENDERS, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.contend:
        contend(chosen.contend)
        return
    import pandas as pd
    from speed import test_bound

    from vae_keras import _files, datasets
    from vae_keras.reproduction import provenance

    data = datasets.load("mnist")
    folder = Path(tempfile.mkdtemp())
    np.savez(folder / "data.npz", x_train=data.x_train)
    contenders = {
        "Kit": Contender("Kit", sys.executable, folder),
        "Jax": Contender("Jax", chosen.jax, folder),
    }
    rows, bounds = [], {}
    for turn in range(chosen.rounds + 1):  # the first one compiles
        for name, contender in contenders.items():
            rate = chosen.epochs * len(data.x_train) / contender.train(chosen.epochs)
            rows.append((CONTENDERS[name].name, turn, round(rate)))
            print(f"turn {turn}: {rows[-1][0]:<24} {rate:10,.0f} samples/s", flush=True)
    for name in contenders:
        with np.load(folder / f"{name}.npz") as weights:
            bounds[CONTENDERS[name].name] = round(
                test_bound(list(weights.values()), data.x_test), 2
            )
    print("test bounds after all turns:", bounds)
    if max(bounds.values()) - min(bounds.values()) > 1:
        sys.exit("more than a nat apart: not the same model, no benchmark")
    table = pd.DataFrame(rows, columns=["contender", "turn", "samples_per_second"])
    table.to_csv(HERE / "gpu.csv", index=False)
    rates = {
        name: statistics.median(part.samples_per_second[part.turn > 0])
        for name, part in table.groupby("contender")
    }
    record = {
        "command": "python benchmarks/speed/gpu.py",
        "samples_per_second": rates,
        "microseconds_a_step": {name: round(1e6 * BATCH / rate, 1) for name, rate in rates.items()},
        "test_bound_after_all_turns": bounds,
        "device": provenance.device(),
        "commit": provenance.commit(),
    }
    _files.replace(HERE / "gpu.json", (json.dumps(record, indent=2) + "\n").encode())
    print(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
