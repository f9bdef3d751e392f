"""What a figure's JSON says, and when a figure is fresh."""

import hashlib
import json
import shutil
import types

import nbformat
import pytest
import tensorflow as tf

from vae_keras import datasets
from vae_keras.reproduction import figures, paths, plans, presets, provenance, runs, version


def as_ran(name, preset, executed=None):
    """What a notebook's ``globals()`` hold when all of its cells have run."""
    ran = provenance.code(name) if executed is None else executed
    return provenance.parameters(name, preset) | {"figures_dir": None, "In": ["", *ran]}


def edited(cells, old, new):
    assert any(old in cell for cell in cells)
    return [cell.replace(old, new) for cell in cells]


NAME = "fig_samples"


@pytest.mark.parametrize(
    ("ran", "folder"),
    [
        (lambda code: code, "smoke"),
        (lambda code: [code[0], "# Parameters\nrows = 10\n", *code[1:]], "smoke"),  # papermill's
        (lambda code: [code[0], code[0], *code], "smoke"),  # run again
        (lambda code: edited(code, "rows)", "rows + 1)"), "custom"),
        (lambda code: [*code[:-1], "bounds['lower_bound'] += 1000", code[-1]], "custom"),
        (lambda code: [code[0], "rows = len('ab')", *code[1:]], "custom"),
        (lambda code: [code[0], "other = 3", *code[1:]], "custom"),
        (lambda code: [], "custom"),
    ],
)
def test_code_that_is_not_the_notebooks_draws_elsewhere_and_says_so(
    ran, folder, tmp_path, monkeypatch, capsys
):
    """Run by nbconvert or in JupyterLab, saved or not."""
    monkeypatch.setattr(paths, "FIGURES", tmp_path)
    monkeypatch.delenv("VAE_KERAS_DATA", raising=False)
    globals_ = as_ran(NAME, "smoke", ran(provenance.code(NAME)))
    assert figures.save(figures.graphical_model(), NAME, globals_) == tmp_path / folder
    record = json.loads((tmp_path / folder / f"{NAME}.json").read_text())
    is_own = folder == "smoke"
    assert (record["sources"] == provenance.source_hash(NAME)) == is_own
    assert (record["code"] == "the project's notebook") == is_own
    assert ("the code that ran is not that of" in capsys.readouterr().out) == (not is_own)
    assert provenance.is_fresh(NAME, "smoke", tmp_path / folder) == is_own


@pytest.mark.parametrize(
    ("old", "new"), [("rows = 10", "rows = 2"), ("figures.samples(", "figures.samples(*")]
)
def test_a_notebook_that_was_edited_and_saved_draws_elsewhere(old, new, tmp_path, monkeypatch):
    folder = shutil.copytree(paths.NOTEBOOKS, tmp_path / "reproduce")
    monkeypatch.setattr(paths, "NOTEBOOKS", folder)
    monkeypatch.setattr(paths, "FIGURES", tmp_path)
    notebook = folder / f"{NAME}.ipynb"
    notebook.write_text(notebook.read_text().replace(old, new))
    assert figures.save(figures.graphical_model(), NAME, as_ran(NAME, "smoke")) == (
        tmp_path / "custom"
    )
    assert not provenance.is_fresh(NAME, "smoke", tmp_path / "custom")


def test_what_only_assigns_parameters():
    names = {"rows", "samples"}
    for cell in ("# Parameters\nrows = 3\nsamples = None", "rows = samples = -1", ""):
        assert presets.assigns_only(cell, names)
    for cell in ("rows = n", "other = 3", "rows += 1", "rows = 3; print(rows)", "rows: int = 3",
                 "%matplotlib inline", "rows[0] = 1"):  # fmt: skip
        assert not presets.assigns_only(cell, names)


def test_the_hashes_of_the_projects_notebooks_are_those_of_their_code():
    """Who changes a notebook of a figure calls `provenance.write_code`."""
    assert all(provenance.is_committed(file.stem) for file in paths.NOTEBOOKS.glob("fig_*.ipynb"))


def test_a_shipped_model_is_not_said_to_be_trained_with_what_is_asked():
    values = provenance.parameters(NAME, "smoke", {"pretrained": True})
    assert not {"samples", "seed", "step_size"} & set(values)
    assert {"samples", "seed", "step_size"} <= set(provenance.parameters(NAME, "smoke"))
    presets.check_untrained(samples=None, seed=0, step_size=None)
    with pytest.raises(ValueError, match="so seed, step_size would do nothing"):
        presets.check_untrained(samples=None, seed=7, step_size=0.5)


def test_a_figures_record_tells_of_its_runs_and_their_data(run, faces):
    record = provenance.record("fig_manifold", {"preset": "smoke"}, [run], {"a.png": b"a picture"})
    assert record["data"]["synthetic_faces"]["embedded"]
    assert record["data"]["synthetic_faces"]["sha256"] == faces.sha256
    assert record["runs"][0]["data_sha256"] == faces.sha256
    assert record["runs"][0]["made_by"][0]["sources"] == version.SOURCES
    assert record["runs"][0]["seed"] == 0
    assert record["runs"][0]["step_size"] == 0.02
    assert record["runs"][0]["embedded"]
    assert "curve" not in record["runs"][0]  # which stands in the CSV
    assert record["files"] == {"a.png": hashlib.sha256(b"a picture").hexdigest()}
    assert record["versions"]["tensorflow"] == tf.__version__
    assert json.loads(json.dumps(record)) == record


@pytest.mark.usefixtures("checkpoint")
def test_a_figure_of_a_run_so_far_claims_the_samples_that_it_has(small, faces, monkeypatch):
    """What the run has come to, and not what was asked for, here and in its settings."""
    monkeypatch.setenv("VAE_KERAS_SO_FAR", "1")
    (summary,) = provenance.record(
        "fig_manifold", {"preset": "smoke"}, [runs.run(small, faces)], {}
    )["runs"]
    assert summary["samples"] == 2000 < small.samples


def test_embedded_data_are_not_fresh_once_the_real_data_are_found(tmp_path, monkeypatch):
    found = {
        "sources": provenance.source_hash("fig_samples"),
        "parameters": provenance.parameters("fig_samples", "quick"),
        "files": {},
        "data": {"mnist_5k": {}},
    }
    (tmp_path / "fig_samples.json").write_text(json.dumps(found))
    monkeypatch.delenv("VAE_KERAS_DATA", raising=False)
    assert provenance.is_fresh("fig_samples", "quick", tmp_path)
    assert not provenance.is_fresh("fig_samples", "smoke", tmp_path)
    (tmp_path / "mnist.npz").write_bytes(b"")
    monkeypatch.setenv("VAE_KERAS_DATA", str(tmp_path))
    assert not provenance.is_fresh("fig_samples", "quick", tmp_path)


def test_a_figure_is_stale_once_anything_that_decides_it_has_changed(tmp_path, monkeypatch):
    """The package with its data and style, the notebook's code, what the preset says."""
    name = "fig_lower_bound"
    monkeypatch.delenv("VAE_KERAS_DATA", raising=False)

    def is_fresh():
        return provenance.is_fresh(name, "smoke", tmp_path)

    def copied(folder, **kwargs):
        return shutil.copytree(folder, tmp_path / folder.name, **kwargs)

    figures.save(
        figures.graphical_model(), name,
        as_ran(name, "smoke") | {"figures_dir": tmp_path},
    )  # fmt: skip
    assert is_fresh()

    package = copied(version.PACKAGE)
    assert version.hash_of(package) == version.SOURCES
    (package / "__pycache__").mkdir(exist_ok=True)
    (package / "__pycache__" / "models.cpython-311.pyc").write_bytes(b"compiled")
    (package / ".figures.py.swp").write_bytes(b"open in an editor")
    assert version.hash_of(package) == version.SOURCES
    wing = ("paper.py", "paper_figure2.csv", "paper_figure3.csv", "paper.mplstyle")
    decides = {f"reproduction/{name}" for name in wing}
    for file in decides | {"models/vae.py"}:
        content = (package / file).read_bytes()
        (package / file).write_bytes(content + b"\n")
        changed = version.hash_of(package)
        assert changed != version.SOURCES
        (package / file).write_bytes(content)
    with monkeypatch.context() as patch:
        patch.setattr(version, "SOURCES", changed)
        assert not is_fresh()
    assert is_fresh()

    notebooks = copied(paths.NOTEBOOKS, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(paths, "NOTEBOOKS", notebooks)
    monkeypatch.setattr(paths, "PRESETS", notebooks / "presets")
    assert is_fresh()
    for file, words, others, fresh in (
        (f"{name}.ipynb", "Higher is better.", "Higher is good.", True),
        (f"{name}.ipynb", "paper.differences(bounds)", "paper.claims(bounds)", False),
        ("presets/smoke.yaml", "# Seconds a figure", "# Minutes a figure", True),
        ("presets/smoke.yaml", "samples: 2000", "samples: 3000", False),
        ("presets/smoke.yaml", "frey_face_latent_dims: [2]", "frey_face_latent_dims: [5]", False),
    ):
        content = (notebooks / file).read_text()
        assert words in content
        (notebooks / file).write_text(content.replace(words, others))
        assert is_fresh() == fresh, (file, words)
        (notebooks / file).write_text(content)


def test_a_figure_of_the_runs_so_far_is_never_fresh(tmp_path, monkeypatch):
    monkeypatch.delenv("VAE_KERAS_DATA", raising=False)
    cell = as_ran("fig_samples", "quick") | {"figures_dir": str(tmp_path)}
    for value, fresh in (("1", False), ("", True)):
        monkeypatch.setenv("VAE_KERAS_SO_FAR", value)
        figures.save(figures.graphical_model(), "fig_samples", cell)
        assert provenance.is_fresh("fig_samples", "quick", tmp_path) == fresh


def test_a_figure_is_fresh_only_while_every_file_of_it_is_there(tmp_path):
    name = "fig_graphical_model"
    values = as_ran(name, "smoke") | {"figures_dir": tmp_path}
    assert not provenance.is_fresh(name, "smoke", tmp_path)
    figures.save(figures.graphical_model(), name, values)
    for suffix in ("pdf", "png", "json"):
        file = tmp_path / f"{name}.{suffix}"
        content = file.read_bytes()
        assert provenance.is_fresh(name, "smoke", tmp_path)
        file.unlink()
        assert not provenance.is_fresh(name, "smoke", tmp_path)
        file.write_bytes(b"")
        assert not provenance.is_fresh(name, "smoke", tmp_path)
        file.write_bytes(content)
    for damaged in (b"", b"[]", b"{}", content.replace(b"files", b"fils")):
        file.write_bytes(damaged)
        assert not provenance.is_fresh(name, "smoke", tmp_path)


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    """A function that makes fig_own.ipynb, of a parameters cell and others."""
    monkeypatch.setattr(paths, "NOTEBOOKS", tmp_path)

    def make(cell):
        parameters = nbformat.v4.new_code_cell(cell, metadata={"tags": ["parameters"]})
        cells = [nbformat.v4.new_markdown_cell("rows = 3"), parameters]
        cells.append(nbformat.v4.new_code_cell("rows = 4"))
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "fig_own.ipynb")

    return make


def test_the_parameters_are_the_cells_the_presets_or_those_given(notebook):
    notebook("preset = 'quick'\nsamples = None\nrows = 10\nstep_size = None\nfigures_dir = None")
    plain = {"preset": "smoke", "samples": 2000, "rows": 10, "step_size": None}
    assert provenance.parameters("fig_own", "smoke") == plain
    given = {"rows": 3, "samples": 5, "preset": "paper", "figures_dir": "here", "other": 1}
    changed = plain | {"rows": 3, "samples": 5}
    assert provenance.parameters("fig_own", "smoke", given) == changed
    assert provenance.parameters("fig_own", "smoke", {"samples": None}) == plain


@pytest.mark.parametrize("name", plans.PLANS)
def test_the_data_sets_are_those_that_the_plan_asks_for(name, monkeypatch):
    asked = set()

    def load(name, allow_embedded):
        asked.add(name)
        return types.SimpleNamespace(name=name, embedded=False)

    monkeypatch.setattr(datasets, "load", load)
    plans.of(name, "smoke")
    assert set(plans.data_sets(name)) == asked
    assert len(plans.data_sets(name)) == len(asked)


def test_the_device_is_the_accelerator_or_else_the_processor(monkeypatch):
    assert provenance.device().startswith("CPU, ")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind, kind])
    details = {"GPU": {"device_name": "Fast"}}
    monkeypatch.setattr(tf.config.experimental, "get_device_details", details.get)
    assert provenance.device() == "Fast, Fast"
