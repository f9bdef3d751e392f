"""The teaching notebooks: each runs from a fresh kernel, silently, and is stored as it ran."""

import re

import nbformat
import pytest
from nbclient import NotebookClient

from vae_keras import datasets
from vae_keras.reproduction import paths

NOTEBOOKS = sorted((paths.ROOT / "notebooks").glob("*.ipynb"))
EMBEDDED = "EMBEDDED DATA stand in"  # the one warning that a reader is to see, where it is so


def cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source]


def streams(notebook):
    outputs = [output for cell in cells(notebook) for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    return [output.text for output in outputs if output.get("name") == "stderr"]


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_it_runs_from_a_fresh_kernel_without_a_word_of_warning(file, monkeypatch):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)  # as a reader has it
    monkeypatch.delenv("MPLBACKEND", raising=False)
    notebook = nbformat.read(file, as_version=4)
    resources = {"metadata": {"path": str(file.parent)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
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


def test_they_are_numbered_and_link_to_what_is_there():
    assert [file.name[:2] for file in NOTEBOOKS] == [f"{i:02}" for i in range(len(NOTEBOOKS))]
    landing = NOTEBOOKS[0].read_text()
    for file in [*NOTEBOOKS[1:], *paths.NOTEBOOKS.glob("*.ipynb")]:
        assert file.name in landing, f"{file.name} is not on the landing page"
    for file in NOTEBOOKS:
        for target in re.findall(r"\]\(([^)#:]+\.\w+)\)", file.read_text()):
            assert (file.parent / target).exists(), f"{file.name} -> {target}"
