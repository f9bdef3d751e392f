"""What `import vae_keras` stands: closed streams, another backend."""

import gc
import json
import os
import subprocess
import sys

import pytest

from vae_keras import _import_tensorflow
from vae_keras.reproduction import paths

IMPORT = "import vae_keras"


def run(shell, **environment):
    """Run a line of the shell in which $python is this one; what it wrote to both streams."""
    environment = {"python": sys.executable, "PYTHONPATH": str(paths.ROOT)} | environment
    return subprocess.run(
        ["bash", "-c", shell], env=os.environ | environment, capture_output=True, text=True
    )


@pytest.mark.long
def test_the_streams_may_be_closed_and_the_variable_has_the_last_word(tmp_path):
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "torch"}))
    keras = {"KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "tensorflow"}
    assert run(f'"$python" -c "{IMPORT}" 2>&- >&- <&-', **keras).returncode == 0


def test_where_there_is_a_card_tensorflow_says_why_it_does_not_use_it(monkeypatch):
    level = f"{IMPORT}, os; print(os.environ['TF_CPP_MIN_LOG_LEVEL'])"
    nowhere = "2>/dev/full"  # where nothing can be written
    assert run(f'"$python" -c "{level}" {nowhere}', TF_CPP_MIN_LOG_LEVEL="0").stdout == "0\n"
    for there in (True, False):
        monkeypatch.setattr(os.path, "exists", lambda path, there=there: there)
        assert _import_tensorflow._has_card() == there


@pytest.mark.long
def test_what_python_writes_while_it_is_imported_passes():
    done = run(f'"$python" -W always::DeprecationWarning -c "{IMPORT}"')
    assert "DeprecationWarning" in done.stderr
    assert "cudart_stub" not in done.stderr


@pytest.mark.long
@pytest.mark.parametrize("how", ["variable", "file"])
def test_another_backend_is_refused_at_once(how, tmp_path):
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "torch"}))
    named = {"variable": {"KERAS_BACKEND": "jax"}, "file": {"KERAS_BACKEND": ""}}[how]
    done = run(f'"$python" -c "{IMPORT}"', KERAS_HOME=str(tmp_path), **named)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert f"Keras is set to {'jax' if how == 'variable' else 'torch'!r}" in last
    assert "KERAS_BACKEND=tensorflow" in last


def test_garbage_is_collected_as_before_once_it_is_imported(monkeypatch):
    monkeypatch.setattr(gc, "freeze", lambda: None)  # what this process has now is to go
    try:
        for enabled in (gc.enable, gc.disable):
            enabled()
            before = gc.isenabled()
            with _import_tensorflow._no_garbage_looked_for():
                assert not gc.isenabled()
            assert gc.isenabled() is before
    finally:
        gc.enable()
    assert gc.get_freeze_count() > 500_000  # what was imported is not gone through again
