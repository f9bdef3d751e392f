"""The teaching notebooks: each runs from a fresh kernel, silently, and is stored as it ran.

Those of the figures are stored in the same form, without outputs.
"""

import os
import re
import subprocess
import sys

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from oracles.in_process import run
from oracles.jupyter import settings, without_outputs

from vae_keras import datasets
from vae_keras.models.trainer import Trainer
from vae_keras.reproduction import paths

COLAB = paths.ROOT / "docs" / "colab.ipynb"
NOTEBOOKS = sorted((paths.ROOT / "notebooks").glob("*.ipynb"))
WEIGHTY = (
    "01",
    "04",
    "05",
    "06",
    "07",
    "09",
)  # with many models, draws or samples: in kernels alone
FIGURES = sorted(paths.NOTEBOOKS.glob("*.ipynb"))
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {
        "codemirror_mode": {"name": "ipython", "version": 3},
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
        "nbconvert_exporter": "python",
        "pygments_lexer": "ipython3",
    },
}
WIDGET = "application/vnd.jupyter.widget-view+json"
EMBEDDED = "EMBEDDED DATA stand in"  # the one warning that a reader is to see, where it is so


def patience(cell):
    """Seconds: nbclient may miss that a widget has shown its picture, and looks again after it."""
    return 30 if "explore(" in cell.source else 300


def cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source]


def streams(notebook):
    outputs = [output for cell in cells(notebook) for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    return [output.text for output in outputs if output.get("name") == "stderr"]


@pytest.mark.in_brief
@pytest.mark.filterwarnings("ignore:.*EMBEDDED DATA stand in")
@pytest.mark.parametrize(
    "file", [f for f in NOTEBOOKS if f.stem[:2] not in WEIGHTY], ids=lambda file: file.stem
)
def test_its_cells_run(file, monkeypatch):
    """In this process; each model learns from a few datapoints."""
    fit = Trainer.fit

    def fit_briefly(self, x, *args, **kwargs):
        return fit(self, x[:200] if isinstance(x, np.ndarray) else x, *args, **kwargs)

    monkeypatch.setattr(Trainer, "fit", fit_briefly)
    monkeypatch.chdir(file.parent)
    assert run(nbformat.read(file, as_version=4), monkeypatch) is None


@pytest.mark.long
@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_it_runs_from_a_fresh_kernel_without_a_word_of_warning(file, monkeypatch):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)  # as a reader has it
    monkeypatch.delenv("MPLBACKEND", raising=False)
    notebook = nbformat.read(file, as_version=4)
    resources = {"metadata": {"path": str(file.parent)}}
    NotebookClient(
        notebook, timeout_func=patience, kernel_name="python3", resources=resources
    ).execute(stderr=subprocess.DEVNULL)  # what a cell writes there is among its outputs
    real = datasets.locate("mnist") is not None
    assert [text for text in streams(notebook) if real or EMBEDDED not in text] == []


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_it_is_stored_as_it_ran(file):
    assert file.stat().st_size < 500_000
    notebook = nbformat.read(file, as_version=4)
    nbformat.validate(notebook)
    assert streams(notebook) == []
    counts = [cell.execution_count for cell in cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    assert not re.search(r"/(work|tmp|home|root)/", file.read_text())


@pytest.mark.parametrize("file", [*NOTEBOOKS, *FIGURES], ids=lambda file: file.stem)
def test_it_is_stored_as_any_machine_would_store_it(file):
    """As JupyterLab and nbconvert do, set up by reproduce/environment.py: CONTRIBUTING.md."""
    notebook = nbformat.read(file, as_version=4)
    assert file.read_text() == nbformat.writes(notebook) + "\n"
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    state = notebook.metadata.pop("widgets", None)
    assert notebook.metadata == METADATA
    assert {key for cell in notebook.cells for key in cell.metadata} <= {"tags"}
    name = file.stem.split("_", 1)[1].replace("_", "-")
    assert [cell.id for cell in notebook.cells if name not in cell.id] == []  # an id of chance
    outputs = [output.get("data", {}) for cell in cells(notebook) for output in cell.outputs]
    shown = {data[WIDGET]["model_id"] for data in outputs if WIDGET in data}
    assert (state is not None) == bool(shown)
    assert all("image/png" in data for data in outputs if WIDGET in data)  # where none runs
    if state:  # of this very run, as the site needs it
        assert shown <= set(state["application/vnd.jupyter.widget-state+json"]["state"])


@pytest.mark.long
def test_another_python_stores_the_same_but_for_outputs(tmp_path):
    """By the command of CONTRIBUTING.md, on a kernel that takes itself for another patch."""
    file = NOTEBOOKS[0]
    another = "import sys\nsys.version = '3.11.99' + sys.version[len(sys.version.split()[0]):]\n"
    (tmp_path / "sitecustomize.py").write_text(another)
    path = f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"
    command = [sys.executable, "-m", "nbconvert", "--execute", "--to=notebook"]
    subprocess.run(
        [*command, f"--output-dir={tmp_path}", str(file)],
        env=os.environ | settings(tmp_path) | {"PYTHONPATH": path}, check=True,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert without_outputs(tmp_path / file.name) == without_outputs(file)


def test_they_are_numbered_and_link_to_what_is_there():
    assert [file.name[:2] for file in NOTEBOOKS] == [f"{i:02}" for i in range(len(NOTEBOOKS))]
    landing = NOTEBOOKS[0].read_text()
    for file in [*NOTEBOOKS[1:], *FIGURES]:
        assert file.name in landing, f"{file.name} is not on the landing page"
    for file in NOTEBOOKS:
        for target in re.findall(r"\]\(([^)#:]+\.\w+)\)", file.read_text()):
            assert (file.parent / target).exists(), f"{file.name} -> {target}"


@pytest.mark.long
def test_the_notebook_for_colab_runs_where_the_kit_is_and_installs_it_as_binder_does():
    notebook = nbformat.read(COLAB, as_version=4)
    install, *_ = (cell.source for cell in cells(notebook))
    as_binder = (paths.ROOT / ".binder" / "postBuild").read_text()
    for option in ("--no-deps", "--no-build-isolation"):
        assert option in as_binder
        assert f'"{option}"' in install
    assert '"--require-hashes", "-r", "vae-keras/requirements.lock"' in install
    resources = {"metadata": {"path": str(COLAB.parent)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute(
        stderr=subprocess.DEVNULL
    )
    assert "nats on the test set after 100,000,000 training samples" in str(notebook)
    if datasets.locate("mnist") is None:
        assert EMBEDDED in "".join(streams(notebook))
