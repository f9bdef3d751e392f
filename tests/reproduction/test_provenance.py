"""What a figure's JSON says, and when a figure is fresh."""

import hashlib
import json
import shutil
import types

import pytest
import tensorflow as tf

from vae_keras.reproduction import figures, paths, provenance, runs, version
from vae_keras.reproduction.executor import Execution
from vae_keras.reproduction.experiments import Experiment
from vae_keras.reproduction.settings import FIGURES, LowerBound, Manifold, Samples


@pytest.fixture(autouse=True)
def no_runs(monkeypatch):
    """What a figure's runs are is tested elsewhere: here it is drawn from none."""
    for figure in FIGURES.values():
        monkeypatch.setattr(figure, "runs", lambda self: [])


def save(name, executed=None, **given):
    """Save a picture as figure `name` at preset smoke, when its notebook's cells have run."""
    ran = provenance.code(name) if executed is None else executed
    settings = FIGURES[name](**{"preset": "smoke"} | given)
    return figures.save(figures.graphical_model(), settings, ["", *ran])


def is_fresh(name, folder, **given):
    return provenance.is_fresh(FIGURES[name](**{"preset": "smoke"} | given), folder)


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
    assert save(NAME, ran(provenance.code(NAME))) == tmp_path / folder
    record = json.loads((tmp_path / folder / f"{NAME}.json").read_text())
    is_own = folder == "smoke"
    assert (record["drawing"] == provenance.drawing_hash(NAME)) == is_own
    assert (record["code"] == "the project's notebook") == is_own
    assert ("the code that ran differs from" in capsys.readouterr().out) == (not is_own)
    assert is_fresh(NAME, tmp_path / folder) == is_own


@pytest.mark.parametrize(
    ("old", "new"), [("rows = None", "rows = 2"), ("figures.samples(", "figures.samples(*")]
)
def test_a_notebook_that_was_edited_and_saved_draws_elsewhere(old, new, tmp_path, monkeypatch):
    folder = shutil.copytree(paths.NOTEBOOKS, tmp_path / "reproduce")
    monkeypatch.setattr(paths, "NOTEBOOKS", folder)
    monkeypatch.setattr(paths, "FIGURES", tmp_path)
    notebook = folder / f"{NAME}.ipynb"
    notebook.write_text(notebook.read_text().replace(old, new))
    assert save(NAME) == tmp_path / "custom"
    assert not is_fresh(NAME, tmp_path / "custom")


def test_what_only_assigns_parameters():
    names = {"rows", "samples"}
    for cell in ("# Parameters\nrows = 3\nsamples = None", "rows = samples = -1", ""):
        assert provenance._assigns_only(cell, names)
    for cell in ("rows = n", "other = 3", "rows += 1", "rows = 3; print(rows)", "rows: int = 3",
                 "%matplotlib inline", "rows[0] = 1"):  # fmt: skip
        assert not provenance._assigns_only(cell, names)


def test_the_hashes_of_the_projects_notebooks_are_those_of_their_code():
    """Who changes a notebook of a figure calls `provenance.write_code`."""
    assert all(provenance.is_committed(file.stem) for file in paths.NOTEBOOKS.glob("fig_*.ipynb"))


def test_a_shipped_model_is_not_said_to_be_trained_with_what_is_asked():
    values = Samples(preset="smoke", pretrained=True).parameters
    assert not {"samples", "seed", "step_size"} & set(values)
    assert {"samples", "seed", "step_size"} <= set(Samples(preset="smoke").parameters)


def test_a_figures_record_tells_of_its_runs_and_their_data(run, faces):
    record = provenance.record(Manifold(preset="smoke"), [run], {"a.png": b"a picture"})
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
def test_a_figure_of_a_run_as_it_is_claims_the_samples_that_it_has(small, faces):
    """What the run has come to, and not what was asked for, here and in its settings."""
    (run,) = runs.run_all([(small, faces)], execution=Execution(train=False))
    (summary,) = provenance.record(Manifold(preset="smoke"), [run], {})["runs"]
    assert summary["samples"] == 2000 < small.samples


def test_embedded_data_are_not_fresh_once_the_real_data_are_found(tmp_path, monkeypatch):
    found = {
        "drawing": provenance.drawing_hash(NAME),
        "parameters": Samples(preset="smoke").parameters,
        "finished": True,
        "files": {},
        "data": {"mnist_5k": {}},
    }
    (tmp_path / f"{NAME}.json").write_text(json.dumps(found))
    monkeypatch.delenv("VAE_KERAS_DATA", raising=False)
    assert is_fresh(NAME, tmp_path)
    assert not is_fresh(NAME, tmp_path, preset="quick")
    assert not is_fresh(NAME, tmp_path, rows=3)
    (tmp_path / "mnist.npz").write_bytes(b"")
    monkeypatch.setenv("VAE_KERAS_DATA", str(tmp_path))
    assert not is_fresh(NAME, tmp_path)


def test_a_figure_is_stale_once_anything_that_decides_it_has_changed(tmp_path, monkeypatch):
    """What measures and draws, the paper's points, the notebook's code, the preset; no words."""
    name = "fig_lower_bound"
    monkeypatch.delenv("VAE_KERAS_DATA", raising=False)

    def copied(folder, **kwargs):
        return shutil.copytree(folder, tmp_path / folder.name, **kwargs)

    save(name, figures_dir=tmp_path)
    assert is_fresh(name, tmp_path)

    package = copied(version.PACKAGE)
    monkeypatch.setattr(version, "PACKAGE", package)
    for file, words, others, fresh in (
        ("reproduction/figures.py", "Nothing is trained here.", "It trains nothing.", True),
        ("reproduction/figures.py", "FIRST_SHOWN = 10**5  #", "FIRST_SHOWN = 10**5  # so", True),
        ("reproduction/figures.py", "FIRST_SHOWN = 10**5", "FIRST_SHOWN = 10**4", False),
        ("models/vae.py", "kl_weight", "weight_of_kl", True),  # the recipe has a number of its own
        *(
            (file, "", "\n" if file.endswith((".csv", ".mplstyle")) else "changed = 1\n", False)
            for file in provenance.DECIDES
        ),
    ):
        content = (package / file).read_text()
        assert words in content
        changed = content.replace(words, others) if words else content + others
        (package / file).write_text(changed)
        version.hash_of_code.cache_clear()
        assert is_fresh(name, tmp_path) == fresh, (file, words)
        assert version.hash_of(package) != version.SOURCES
        (package / file).write_text(content)
    version.hash_of_code.cache_clear()
    assert is_fresh(name, tmp_path)
    assert version.hash_of(package) == version.SOURCES
    with monkeypatch.context() as patch:
        patch.setattr(provenance, "RECIPE", provenance.RECIPE + 1)
        assert not is_fresh(name, tmp_path)
    (package / "__pycache__").mkdir(exist_ok=True)
    (package / "__pycache__" / "models.cpython-311.pyc").write_bytes(b"compiled")
    (package / ".figures.py.swp").write_bytes(b"open in an editor")
    assert version.hash_of(package) == version.SOURCES

    notebooks = copied(paths.NOTEBOOKS, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(paths, "NOTEBOOKS", notebooks)
    monkeypatch.setattr(paths, "PRESETS", notebooks / "presets")
    assert is_fresh(name, tmp_path)
    for file, words, others, fresh in (
        (f"{name}.ipynb", "Higher is better.", "Higher is good.", True),
        (f"{name}.ipynb", "paper.differences(bounds)", "paper.claims(bounds)", False),
        ("presets/smoke.yaml", "# For tests: seconds per", "# For tests: minutes per", True),
        ("presets/smoke.yaml", "samples: 2000", "samples: 3000", False),
        ("presets/smoke.yaml", "frey_face_latent_dims: [2]", "frey_face_latent_dims: [5]", False),
    ):
        content = (notebooks / file).read_text()
        assert words in content
        (notebooks / file).write_text(content.replace(words, others))
        assert is_fresh(name, tmp_path) == fresh, (file, words)
        (notebooks / file).write_text(content)
    monkeypatch.setattr(paths, "ROOT", tmp_path)  # of which figure 2 shows a table, too
    (shown,) = LowerBound.reads
    (tmp_path / shown).parent.mkdir(parents=True)
    shutil.copy(version.Path(__file__).parents[2] / shown, tmp_path / shown)
    assert is_fresh(name, tmp_path)
    (tmp_path / shown).write_text("another")
    assert not is_fresh(name, tmp_path)


@pytest.mark.parametrize("folder", ["paper", "standard"])
def test_the_committed_figures_are_fresh(folder, committed_file):
    """As git has them: by this code, with the preset's parameters, all runs to their end."""
    names = [name for name in FIGURES if committed_file(f"figures/{folder}/{name}.json")]
    assert len(names) >= 5
    for name in names:
        record = json.loads(committed_file(f"figures/{folder}/{name}.json"))
        assert record["drawing"] == provenance.drawing_hash(name), f"draw {folder}/{name} anew"
        assert record["code"] == "the project's notebook"
        assert record["parameters"] == FIGURES[name](preset=folder).parameters
        assert record["finished"]
        assert not any(data["embedded"] for data in record["data"].values())
        for file, digest in record["files"].items():
            content = committed_file(f"figures/{folder}/{file}")
            assert hashlib.sha256(content).hexdigest() == digest, f"{folder}/{file}"


def test_a_figure_that_lacks_a_run_or_a_part_of_one_is_never_fresh(tmp_path, monkeypatch):
    experiment = Experiment("mnist", 2, 2000)
    monkeypatch.setattr(Samples, "runs", lambda self: [(experiment, None)])
    settings = Samples(preset="smoke", figures_dir=str(tmp_path))
    for samples, fresh in ((1000, False), (2000, True), (None, False)):
        drawn = [] if samples is None else [types.SimpleNamespace(
            experiment=experiment, samples=samples, learned_from="digits", shipped_as=None,
            has_model=True,
            data=types.SimpleNamespace(
                name="mnist", title="digits", embedded=False, source="", sha256=""
            ),
            record={"experiment": {}},
        )]  # fmt: skip
        ran = provenance.code(NAME)
        figures.save(figures.graphical_model(), settings, ran, drawn)
        assert is_fresh(NAME, tmp_path) == fresh


def test_a_figure_is_fresh_only_while_every_file_of_it_is_there(tmp_path):
    name = "fig_graphical_model"
    assert not is_fresh(name, tmp_path)
    save(name, figures_dir=tmp_path)
    for suffix in ("pdf", "png", "json"):
        file = tmp_path / f"{name}.{suffix}"
        content = file.read_bytes()
        assert is_fresh(name, tmp_path)
        file.unlink()
        assert not is_fresh(name, tmp_path)
        file.write_bytes(b"")
        assert not is_fresh(name, tmp_path)
        file.write_bytes(content)
    for damaged in (b"", b"[]", b"{}", content.replace(b"files", b"fils")):
        file.write_bytes(damaged)
        assert not is_fresh(name, tmp_path)


def test_the_device_is_the_accelerator_or_else_the_processor(monkeypatch):
    assert provenance.device().startswith("CPU, ")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind, kind])
    details = {"GPU": {"device_name": "Fast"}}
    monkeypatch.setattr(tf.config.experimental, "get_device_details", details.get)
    assert provenance.device() == "Fast, Fast"


def test_a_table_that_cannot_be_made_again_is_kept_as_it_was_with_its_commit(tmp_path):
    assert provenance.kept(tmp_path, NAME, []) == {}  # no figure
    for damaged in ("[]", "{", '{"files": []}'):
        (tmp_path / f"{NAME}.json").write_text(damaged)
        assert provenance.kept(tmp_path, NAME, []) == {}
    tables = {"curves.csv": b"1", "estimators.csv": b"2", "changed.csv": b"3", f"{NAME}.png": b"4"}
    for file, content in tables.items():
        (tmp_path / file).write_bytes(content)
    hashes = {file: hashlib.sha256(content).hexdigest() for file, content in tables.items()}
    before = {"files": hashes, "commit": "abc"}
    (tmp_path / f"{NAME}.json").write_text(json.dumps(before))
    (tmp_path / "changed.csv").write_bytes(b"by hand")
    assert provenance.kept(tmp_path, NAME, ["curves.csv"]) == {"estimators.csv": "abc"}
    again = before | {"commit": "def", "kept": {"estimators.csv": "abc"}}  # once more
    (tmp_path / f"{NAME}.json").write_text(json.dumps(again))
    assert provenance.kept(tmp_path, NAME, ["curves.csv"]) == {"estimators.csv": "abc"}
