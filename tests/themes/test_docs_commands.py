"""Every command that a page or a notebook shows runs: at preset smoke, on a few samples."""

import itertools
import json
import re
import shlex
import subprocess
from pathlib import Path

import click.testing
import nbformat
import papermill.cli
import pytest
import tensorflow as tf
from matplotlib.figure import Figure
from oracles.in_process import estimate_nothing, run_cells

from vae_keras import datasets
from vae_keras.__main__ import main
from vae_keras.reproduction import executor, notebooks, paths
from vae_keras.reproduction.settings import FIGURES

PAGES = [
    paths.ROOT / "README.md", *(paths.ROOT / "docs").glob("*.md"),
    *paths.NOTEBOOKS.glob("*.ipynb"), *(paths.ROOT / "notebooks").glob("*.ipynb"),
]  # fmt: skip


def read(page):
    if page.suffix == ".md":
        return page.read_text()
    cells = nbformat.read(page, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def shown(*called):
    """The arguments of what the pages call by one of these words, each command once."""
    found = {}
    for page in sorted(PAGES):
        text = read(page)
        blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
        spans = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
        for line in [line for block in blocks for line in block.splitlines()] + spans:
            line = line.removeprefix(".venv/bin/")
            for start in (word for word in called if re.match(rf"{word}(\s|$)", line)):
                words = shlex.split(line.removeprefix(start), comments=True)
                words = words[: words.index("|")] if "|" in words else words
                found[shlex.join(words)] = words
    return [pytest.param(words, id=line or "alone") for line, words in sorted(found.items())]


PAPERMILL, KIT = shown("papermill"), shown("python -m vae_keras")
RUN_ALL = shown("reproduce/run_all.sh")


def test_there_are_commands_and_each_is_whole():
    assert len(PAPERMILL) >= 15
    assert len(KIT) >= 3
    assert len(RUN_ALL) >= 3
    for page in PAGES:
        assert not re.search(r"`-[pfry] ", read(page)), f"{page.name}: options of which command?"


@pytest.mark.parametrize("words", PAPERMILL)
def test_papermill(words, monkeypatch):
    """Its arguments as papermill reads them are a notebook and its parameters, as written."""
    name, parameters = asked_of_papermill(words, monkeypatch)
    settings = FIGURES[name].of(parameters)
    if "-f" in words:
        assert settings.preset == "standard"
    for key in (word for before, word in itertools.pairwise(words) if before == "-p"):
        written = words[words.index(key) + 1]
        assert str(getattr(settings, key)) == written


def asked_of_papermill(words, monkeypatch):
    """The name of the notebook, and the parameters that papermill would inject."""
    monkeypatch.chdir(paths.ROOT)
    asked = {}
    monkeypatch.setattr(papermill.cli, "execute_notebook", lambda **given: asked.update(given))
    done = click.testing.CliRunner().invoke(papermill.cli.papermill, words)
    assert done.exit_code == 0, done.output
    name = Path(asked["input_path"]).stem
    assert Path(asked["input_path"]) == Path("reproduce", f"{name}.ipynb")
    return name, asked["parameters"]


# One command for each parameter that a page sets: test_figure_notebooks.py draws each without any.
WITH_PARAMETERS = {
    (words[0], *words[words.index("-p") :]): case
    for case in PAPERMILL
    for (words,) in [case.values]
    if "-p" in words
}


@pytest.mark.filterwarnings("ignore:.*EMBEDDED DATA stand in")
@pytest.mark.long
@pytest.mark.parametrize("words", WITH_PARAMETERS.values())
def test_papermill_draws(words, results, tmp_path, monkeypatch):
    """The notebook's cells, in this process and without compiling."""
    name, parameters = asked_of_papermill(words, monkeypatch)
    parameters["preset"] = "smoke"
    if "samples" in FIGURES[name](preset="smoke").parameters:
        parameters["samples"] = 200
    if "figures_dir" in parameters:
        parameters["figures_dir"] = str(tmp_path / "mine")
    monkeypatch.delenv("VAE_KERAS_DATA", raising=False)
    monkeypatch.setenv("VAE_KERAS_RESULTS", str(results))  # shared: most train the same models
    monkeypatch.setattr(paths, "FIGURES", tmp_path)
    estimate_nothing(monkeypatch)
    monkeypatch.setattr(Figure, "savefig", lambda self, file, **how: file.write(b"a picture"))
    tf.config.run_functions_eagerly(True)
    try:
        error = run_cells(name, parameters, monkeypatch)
    finally:
        tf.config.run_functions_eagerly(False)
    assert error is None, error
    (record,) = tmp_path.glob(f"*/{name}.json")
    drawn = json.loads(record.read_text())["parameters"]
    for key in parameters.keys() & drawn.keys():
        assert str(drawn[key]) == str(parameters[key])


@pytest.mark.parametrize("words", KIT)
def test_the_kits_own_commands(words, capsys, monkeypatch, tmp_path):
    """In a store without runs."""
    monkeypatch.chdir(tmp_path)
    missing = words == ["data"] and not all(map(datasets.locate, datasets._REMOTE))
    assert main(words) == int(missing)
    assert "".join(capsys.readouterr())


@pytest.mark.parametrize("words", RUN_ALL)
def test_run_all(words, monkeypatch):
    """It passes its arguments on, to a command that has tests of its own."""
    if words == ["--help"]:
        command = [paths.ROOT / "reproduce" / "run_all.sh", *words]
        assert subprocess.check_output(command, text=True).startswith("usage: reproduce/run_all.sh")
        return
    asked = []
    monkeypatch.setattr(notebooks, "run", lambda *given: asked.append(given) or 0)
    monkeypatch.setattr(executor, "check_cluster", lambda address: None)
    assert main(["figures", *words]) == 0
    named = [name for before, name in itertools.pairwise(words) if before == "--only"]
    assert [names for names, *_ in asked] == [named or paths.NAMES]
