"""Every figure notebook: its shape, a full run at preset smoke, freshness, failures."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys

import filelock
import nbformat
import pytest
from matplotlib.image import imread
from oracles.browser import NOWHERE
from oracles.in_process import estimate_nothing, run_cells

from vae_keras.__main__ import main
from vae_keras.reproduction import paths, training
from vae_keras.reproduction.settings import FIGURES

NOTEBOOKS = sorted(paths.NOTEBOOKS.glob("*.ipynb"))
NAMES = [file.stem for file in NOTEBOOKS]
COMMANDED = ["fig_graphical_model", "fig_manifold"]
BRIEF = ["fig_graphical_model", "fig_manifold", "fig_full_vb"]
ONLY = [word for name in COMMANDED for word in ("--only", name)]


@pytest.mark.parametrize("file", NOTEBOOKS, ids=NAMES)
def test_shape(file):
    notebook = nbformat.read(file, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    (parameters,) = [cell for cell in code if "parameters" in cell.metadata.get("tags", [])]
    assert parameters is code[0]
    names = [field.name for field in dataclasses.fields(FIGURES[file.stem])]
    text = "".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    for name in names:
        assert re.search(rf"^\|.*`{name}`.* \|", text, re.MULTILINE), f"{name} is not documented"
    assert f"papermill reproduce/{file.name} out.ipynb -p" in text
    for cell in code:
        assert cell.outputs == []
        assert cell.execution_count is None
        assert len(cell.source.splitlines()) <= 12
        assert not re.search(r"^\s*(def|class) ", cell.source, re.MULTILINE)


@pytest.fixture
def made(results, tmp_path, monkeypatch):
    """A function that draws a figure at preset smoke without the real data, by its cells."""
    monkeypatch.delenv("VAE_KERAS_DATA", raising=False)
    monkeypatch.setenv("VAE_KERAS_RESULTS", str(results))  # figures share runs, as with a user
    estimate_nothing(monkeypatch)

    def make(name):
        values = {"preset": "smoke", "figures_dir": str(tmp_path)}
        assert run_cells(name, values, monkeypatch) is None
        return tmp_path

    return make


@pytest.fixture(scope="session")
def commanded(tmp_path_factory):
    """Two of them by the command, from kernels and compiled, and what it wrote on the way.

    Made once, by whichever process comes first; not to be changed. `.ci/run` makes them all.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder, said = shared / "figures at smoke", shared / "figures at smoke.json"
    with filelock.FileLock(shared / "figures at smoke.lock"):
        if not said.exists():
            said.write_text(json.dumps(command_figures(folder, shared)))
    return folder


def command_figures(folder, shared):
    command = [sys.executable, "-m", "vae_keras", "figures", "--preset", "smoke", "--jobs", "2"]
    environment = {k: v for k, v in os.environ.items() if k != "VAE_KERAS_DATA"} | {
        "KERAS_HOME": str(shared / "keras"),
        "VAE_KERAS_RESULTS": str(shared / "results"),
        "https_proxy": NOWHERE,
    }
    done = subprocess.run(
        [*command, *ONLY, "--figures-dir", str(folder)],
        env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, done.stderr


@pytest.mark.long
def test_the_run_says_once_what_stands_in_and_where_the_figures_are(commanded):
    out, err = json.loads(commanded.with_suffix(".json").read_text())
    sentence, *board = err.strip().splitlines()
    assert re.search(r"(\d+) of \1 runs trained in ", board[-1])
    assert all(re.search(r"runs|samples", line) for line in board)
    assert "No MNIST and no Frey Face found, and there is no network" in sentence
    assert "EMBEDDED DATA stand in: mnist_5k and synthetic_faces" in sentence
    assert "set VAE_KERAS_DATA to that folder" in sentence
    assert "EMBEDDED" not in out
    assert out.splitlines()[-1] == f"The figures are in {commanded}"
    assert out.count("made") == len(COMMANDED)


@pytest.mark.first(len(BRIEF))
@pytest.mark.filterwarnings("ignore:.*EMBEDDED DATA stand in")
@pytest.mark.parametrize(
    ("by", "name"),
    [
        *(("made", name) for name in sorted(NAMES, key=BRIEF.__contains__, reverse=True)),
        *(("commanded", name) for name in COMMANDED),
    ],
)
def test_a_run_leaves_the_figure_and_how_it_came_about(by, name, request):
    by = request.getfixturevalue(by)
    made = by(name) if callable(by) else by
    record = json.loads((made / f"{name}.json").read_text())
    assert record["preset"] == "smoke"
    for file in record["files"]:
        assert (made / file).stat().st_size > 0
    picture = imread(made / f"{name}.png")
    assert picture.shape[1] > 600  # two inches at 300 dpi
    assert picture[..., :3].std() > 0.05
    assert (made / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    assert {"commit", "device", "versions", "wall_time_s", "sources", "drawing"} <= set(record)
    for run in record["runs"]:
        assert run["samples"] == 2000
        assert run["seed"] == 0
    if record["runs"] and name != "fig_differences":
        header = (made / f"{name}.csv").read_text().splitlines()[0]
        columns = "dataset,latent_dim,algorithm,split,samples,lower_bound,seed"
        if name == "fig_marginal_likelihood":
            measured = "marginal_log_likelihood,error,acceptance,lower_bound"
            columns = columns.replace(",", ",n_train,", 1).replace("lower_bound", measured)
        assert header == columns


@pytest.mark.long
def test_a_second_run_does_nothing(commanded, tmp_path, capsys, monkeypatch):
    made = shutil.copytree(commanded, tmp_path / "figures")
    monkeypatch.delenv("VAE_KERAS_DATA", raising=False)
    arguments = ["figures", "--preset", "smoke", "--figures-dir", str(made), *ONLY]
    times = {file: file.stat().st_mtime_ns for file in made.iterdir()}
    assert main(arguments) == 0
    assert {file: file.stat().st_mtime_ns for file in made.iterdir()} == times
    assert capsys.readouterr().out.count("fresh") == len(COMMANDED)


@pytest.mark.filterwarnings("ignore:.*EMBEDDED DATA stand in")
@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"latent_gird": 12}, "no parameter latent_gird: it has .*latent_grid"),
        ({"latent_grid": "1"}, "latent_grid is 1, but must be an integer of at least 2"),
        ({"step_size": "fast"}, "step_size is 'fast', but must be above 0 and finite, or None"),
        ({"latent_dims": "[]"}, "there is no experiment to run: each list of sizes"),
    ],
)
def test_a_bad_parameter_ends_at_once(parameters, message, monkeypatch):
    """By its own settings, an experiment or the list of runs, before any training."""
    monkeypatch.setattr(training, "train", lambda *_: pytest.fail("it trains"))
    name = "fig_samples" if "latent_dims" in parameters else "fig_manifold"
    assert re.search(message, str(run_cells(name, parameters, monkeypatch)))
