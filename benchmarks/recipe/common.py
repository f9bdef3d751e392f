"""What the experiments share: runs that the store is not to keep, and tables that grow."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from vae_keras import datasets
from vae_keras.datasets import Dataset
from vae_keras.models import LatentVariableModel
from vae_keras.reproduction import executor, paper, paths, store, training
from vae_keras.reproduction.experiments import Experiment


class Changed(Experiment):
    """An experiment whose `change` alters its model before it learns, as no setting of it says."""

    def build(self, data: Dataset) -> LatentVariableModel:
        model = super().build(data)
        self.change(model)
        return model


@contextlib.contextmanager
def trained(experiment: Experiment, ends: set[int]) -> Iterator[None]:
    """While it lasts, the store is another one, which has the run at each of `ends` alone.

    The kit's store tells runs apart by their settings, and would take one `Changed` for another.
    """
    with tempfile.TemporaryDirectory() as folder, paths.results_in(folder):
        training.train(experiment, datasets.load(experiment.dataset), ends)
        yield


def curve(experiment: Experiment) -> pd.DataFrame:
    """What is recorded of it along the way."""
    with trained(experiment, {experiment.samples}):
        return pd.DataFrame(store.read_record(experiment.key, experiment.samples)["curve"])


def each(make: Callable, experiments: list[Experiment]) -> list:
    """What `make` makes of each, by a process a core with one thread each."""
    os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "OMP_NUM_THREADS": "1"}
    with ProcessPoolExecutor(max(1, executor.n_jobs()), get_context("spawn")) as pool:
        return list(tqdm(pool.map(make, experiments), total=len(experiments)))


def differences(chosen: Iterable[tuple[str, Experiment]]) -> pd.DataFrame:
    """Ours minus the paper's, as `paper.differences` has it, of each variation by its name."""
    names, experiments = zip(*chosen, strict=True)
    curves = pd.concat(each(curve, list(experiments)), keys=names, names=["variation", None])
    return pd.concat(
        paper.differences(of_it).assign(variation=name, seeds=of_it.seed.nunique())
        for name, of_it in curves.groupby("variation")
    )


def update(file: Path, new: pd.DataFrame, row: list[str]) -> pd.DataFrame:
    """The table in `file` with the `new` rows in place of its own, unless those are of more seeds.

    `row`: the columns that name a row, by which the table is sorted.
    """
    tables = [pd.read_csv(file), new] if file.exists() else [new]
    table = pd.concat(tables).sort_values("seeds", kind="stable")
    table = table.drop_duplicates(row, keep="last").sort_values(row)
    table.to_csv(file, index=False)
    return table
