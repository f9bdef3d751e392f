"""The command line as it is read: what is refused, and that this takes no TensorFlow."""

import os
import subprocess
import sys

import pytest

from vae_keras.reproduction import arguments, paths


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--help"], "data"),
        (["figures", "--help"], "--no-training"),
        (["figures", "--presett"], "unrecognized arguments: --presett"),
        (["runs", "--only", "x"], "unrecognized arguments: --only x"),
        (["figures", "--preset", "fast"], "unknown preset"),
    ],
)
def test_help_and_a_mistyped_option_import_no_tensorflow(words, said, tmp_path):
    """Which takes seconds."""
    (tmp_path / "tensorflow.py").write_text("raise SystemExit('TensorFlow is imported')")
    done = subprocess.run(
        [sys.executable, "-m", "vae_keras", *words], cwd=paths.ROOT,
        env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == (0 if "--help" in words else 2)
    assert said in done.stdout + done.stderr
    assert "TensorFlow is imported" not in done.stderr


@pytest.mark.parametrize("jobs", ["abc", "-1", "1.5"])
def test_jobs_that_are_no_number_are_said(jobs, monkeypatch, capsys):
    monkeypatch.setenv("VAE_KERAS_JOBS", jobs)
    with pytest.raises(SystemExit):
        arguments.parse(["figures"])
    assert f"VAE_KERAS_JOBS is '{jobs}', but must be a whole number" in capsys.readouterr().err


def test_what_it_does_not_know_is_refused(capsys):
    for words, message in (
        (["--preset", "fast"], "fast': one of smoke, quick, standard, paper, or a YAML file"),
        (["--only", "fig_nothing"], "invalid choice: 'fig_nothing' (choose from 'fig_diff"),
        (["--jobs", "-1"], "--jobs is -1, but must be at least 1, or 0 to train in this process"),
    ):
        with pytest.raises(SystemExit) as stop:
            arguments.parse(["figures", *words])
        assert stop.value.code == 2
        assert message in capsys.readouterr().err
