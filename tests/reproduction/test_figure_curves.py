"""Curves that come from figures drawn before, when no store has their runs."""

import dataclasses
import json

import pandas as pd
import pytest

from vae_keras.reproduction import figure_curves, figures, paths, runs, store
from vae_keras.reproduction.executor import Execution
from vae_keras.reproduction.experiments import Experiment
from vae_keras.reproduction.settings import FIGURES


@pytest.fixture
def draw(tmp_path, monkeypatch):
    """A function that puts runs into a figure and empties the store; returns the figure's JSON."""
    monkeypatch.setattr(paths, "FIGURES", tmp_path / "figures")
    monkeypatch.setattr(FIGURES["fig_lower_bound"], "runs", lambda self: [])  # others than these

    def draw(found, folder="standard", name="fig_lower_bound"):
        settings = FIGURES[name](preset="smoke", figures_dir=str(paths.FIGURES / folder))
        figures.save(figures.graphical_model(), settings, [], found, {name: runs.table(found)})
        for key in store.records():
            store.drop(key)
        return paths.FIGURES / folder / f"{name}.json"

    return draw


def as_they_are(chosen, **settings):
    return runs.run_all(chosen, **settings, execution=Execution(train=False))


def test_a_curve_comes_from_the_figure_that_shows_it(small, faces, draw, capsys):
    other = dataclasses.replace(small, seed=1)
    chosen = [(small, faces), (other, faces)]
    before = runs.run_all(chosen)
    draw(before)
    capsys.readouterr()
    found = as_they_are(chosen, models=False)
    assert capsys.readouterr().out == "read from existing figures, not from the store: 2 curves\n"
    assert runs.table(found).equals(runs.table(before))
    for run, original in zip(found, before, strict=True):
        assert run.record == original.record
        assert (run.samples, run.learned_from) == (original.samples, original.learned_from)
        assert not run.has_model
    with pytest.raises(store.StoreError, match=r"no model of aevb-synthetic_faces-2d-.* train it"):
        _ = found[0].model
    with pytest.raises(ValueError, match="none of these runs has been started"):
        as_they_are(chosen)  # of which the models are wanted
    # What is drawn of it is the same, and can be drawn from again.
    draw(found, "again")
    assert as_they_are(chosen, models=False)[1].record == before[1].record


@pytest.mark.long
def test_what_is_in_the_store_comes_first_unless_a_figure_shows_more(small, faces, draw):
    (shorter,) = runs.run_all([(dataclasses.replace(small, samples=1000), faces)])
    draw([shorter], "quick")
    assert figure_curves.record(small, faces.sha256)["samples"] == 1000
    whole = runs.run(small, faces)
    (found,) = as_they_are([(small, faces)], models=False)
    assert found.samples == 4000
    assert found.has_model
    draw([whole])
    runs.run(dataclasses.replace(small, samples=1000), faces)
    (found,) = as_they_are([(small, faces)], models=False)
    assert found.record == whole.record
    assert not found.has_model  # not of so far
    (found,) = as_they_are([(shorter.experiment, faces)], models=False)
    assert found.has_model


def test_of_two_figures_the_one_with_more_of_what_is_asked_for(run, small, faces, draw):
    """A longer run that was measured at fewer points gives way where the shorter one is enough."""
    one = draw([run])
    told, table = json.loads(one.read_text()), pd.read_csv(one.with_suffix(".csv"))
    other = one.parent.parent / "paper" / one.name
    other.parent.mkdir()
    told["runs"][0]["samples"] = 8000
    other.write_text(json.dumps(told))
    longer = table.replace({"samples": {4000: 8000}})
    longer[longer.samples != 3000].to_csv(other.with_suffix(".csv"), index=False)
    assert figure_curves.record(small, faces.sha256)["curve"] == run.record["curve"]
    asked = dataclasses.replace(small, samples=8000)
    assert figure_curves.record(asked, faces.sha256)["samples"] == 8000


def test_other_data_another_recipe_and_what_is_no_figure_are_passed_over(run, small, faces, draw):
    file = draw([run])
    assert figure_curves.record(small, faces.sha256) is not None
    assert figure_curves.record(small, "0" * 64) is None
    assert figure_curves.record(dataclasses.replace(small, hidden=6), faces.sha256) is None
    told = json.loads(file.read_text())
    for changed in (
        told | {"runs": [told["runs"][0] | {"recipe": 3}]},
        {"models": 7},
        [told],
        told | {"runs": [{"recipe": Experiment.__name__}]},
    ):
        file.write_text(json.dumps(changed))
        assert figure_curves.record(small, faces.sha256) is None
    file.write_text(json.dumps(told))
    assert figure_curves.record(small, faces.sha256) is not None
    file.with_suffix(".csv").unlink()
    file.write_text(json.dumps(told, indent=1))
    assert figure_curves.record(small, faces.sha256) is None
