"""Where things are kept, and how a path is shown."""

import os

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
    with pytest.raises(OSError, match="figures cannot be written: let VAE_KERAS_RESULTS name"):
        paths.figures("quick")
