"""Shared by the experiments: runs that are not kept in the store, and tables that grow."""

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
    """An experiment whose `change` alters the model before training, in a way no setting can."""

    def build(self, data: Dataset) -> LatentVariableModel:
        model = super().build(data)
        self.change(model)
        return model


@contextlib.contextmanager
def trained(experiment: Experiment, ends: set[int]) -> Iterator[None]:
    """Within this context the store is a temporary one, which has only this run, at each of `ends`.

    The kit's store identifies runs by their settings, and would confuse one `Changed` with another.
    """
    with tempfile.TemporaryDirectory() as folder, paths.results_in(folder):
        training.train(experiment, datasets.load(experiment.dataset), ends)
        yield


def curve(experiment: Experiment) -> pd.DataFrame:
    """The curve that is recorded during training."""
    with trained(experiment, {experiment.samples}):
        return pd.DataFrame(store.read_record(experiment.key, experiment.samples)["curve"])


def each(make: Callable, experiments: list[Experiment]) -> list:
    """The results of `make` for each, in one process per core with one thread each."""
    os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "OMP_NUM_THREADS": "1"}
    with ProcessPoolExecutor(max(1, executor.n_jobs()), get_context("spawn")) as pool:
        return list(tqdm(pool.map(make, experiments), total=len(experiments)))


def differences(chosen: Iterable[tuple[str, Experiment]]) -> pd.DataFrame:
    """Ours minus the paper's, by `paper.differences`, for each variation by its name."""
    names, experiments = zip(*chosen, strict=True)
    curves = pd.concat(each(curve, list(experiments)), keys=names, names=["variation", None])
    return pd.concat(
        paper.differences(of_it).assign(variation=name, seeds=of_it.seed.nunique())
        for name, of_it in curves.groupby("variation")
    )


def update(file: Path, new: pd.DataFrame, row: list[str]) -> pd.DataFrame:
    """The table in `file`, with its rows replaced by the `new` ones unless they are of more seeds.

    `row`: the columns that identify a row; the table is sorted by them.
    """
    tables = [pd.read_csv(file), new] if file.exists() else [new]
    table = pd.concat(tables).sort_values("seeds", kind="stable")
    table = table.drop_duplicates(row, keep="last").sort_values(row)
    table.to_csv(file, index=False)
    return table
