"""Where things are kept, and how a path is shown."""

import os
from pathlib import Path

import pytest

from vae_keras.reproduction import paths


def test_a_project_that_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setattr(paths, "FIGURES", tmp_path / "figures")
    assert paths.figures("quick") == tmp_path / "figures" / "quick"
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setenv("VAE_KERAS_RESULTS", str(tmp_path / "mine"))
    assert paths.figures("quick") == tmp_path / "mine" / "figures" / "quick"
    monkeypatch.delenv("VAE_KERAS_RESULTS")
    with pytest.raises(OSError, match="figures cannot be written: set VAE_KERAS_RESULTS to a"):
        paths.figures("quick")


def test_the_store_is_where_the_environment_says_or_in_the_project(tmp_path, monkeypatch):
    monkeypatch.setenv("VAE_KERAS_RESULTS", str(tmp_path))
    assert paths.results() == tmp_path
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VAE_KERAS_RESULTS", "~/runs")
    assert paths.results() == tmp_path / "runs"
    for unset in ("", None):
        if unset is None:
            monkeypatch.delenv("VAE_KERAS_RESULTS")
        else:
            monkeypatch.setenv("VAE_KERAS_RESULTS", unset)
        assert paths.results() == paths.ROOT / "results"


def test_a_path_is_shown_from_the_projects_root(tmp_path, monkeypatch):
    assert paths.shown(paths.FIGURES / "quick" / "a.png") == os.path.join(
        "figures", "quick", "a.png"
    )
    assert paths.shown(tmp_path / "a.png") == str(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    assert paths.shown(Path("a.png")) == str(tmp_path / "a.png")  # not that of the root
