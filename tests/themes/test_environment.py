"""The set-up: what is locked, what an environment may have become, and what is refused, how."""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from itertools import chain
from pathlib import Path

import pytest
from oracles.scripts import load
from packaging.markers import default_environment
from packaging.requirements import Requirement

from vae_keras.reproduction import paths

ROOT = paths.ROOT
LOCKED = ("absl-py", "keras", "numpy", "pip", "tensorflow", "tensorflow-probability", "tqdm")


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """reproduce/environment.py as a module, of a project in `tmp_path`; `commands`: what it ran."""
    module = load("reproduce/environment.py")
    lock = tmp_path / "requirements.lock"
    lock.write_text(
        "# made by uv\n" + "".join(f"{name}==1 \\\n    --hash=sha256:0\n" for name in LOCKED)
    )
    places = {"ROOT": tmp_path, "VENV": tmp_path / ".venv", "LOCK": lock}
    places |= {"PYTHON": tmp_path / ".venv/bin/python", "DONE": tmp_path / ".venv/made-from"}
    places["ETC"] = shutil.copytree(module.ETC, tmp_path / "etc")
    for name, value in places.items():
        monkeypatch.setattr(module, name, value)
    run = module.really_run = module._run
    module.commands, module.installed = [], []

    def only_make_the_environment(command):
        module.commands.append([str(word) for word in command])
        if "venv" in command:
            run([*command[:3], "--without-pip", *command[3:]])
        if "--require-hashes" in command:
            text = Path(command[-1]).read_text()
            assert text.count("==1 \\\n    --hash=sha256:0\n") == text.count("==")
            module.installed.append(re.findall("^(.*)==", text, re.M))

    monkeypatch.setattr(module, "_run", only_make_the_environment)
    return module


def made(environment):
    """How often the environment was made from nothing."""
    return sum("venv" in command for command in environment.commands)


# ------------------------------------------------------------------------------ what is locked


def requirements(file):
    """Name -> the requirements of a file, without hashes, comments and the project itself."""
    text = re.sub(r"\\\n", " ", (ROOT / file).read_text())
    lines = [re.sub(r"#.*|--hash=\S+", "", line).strip() for line in text.splitlines()]
    found = [Requirement(line) for line in lines if line and not line.startswith("-e")]
    return [(re.sub(r"[-_.]+", "-", r.name).lower(), r) for r in found]


def test_the_lock_agrees_with_the_direct_pins():
    """Else `python reproduce/environment.py --lock` is to be run, and its result committed."""
    pins, locked = dict(requirements("requirements.txt")), requirements("requirements.lock")
    text = (ROOT / "requirements.lock").read_text()
    versions = {name: {str(r.specifier) for n, r in locked if n == name} for name, _ in locked}
    assert {n: {str(r.specifier)} for n, r in pins.items()} == {n: versions.get(n) for n in pins}
    direct = re.findall(
        r"^([\w.-]+)==(?:.*\n)(?:    .*\n)*?    #.* -r requirements.txt", text, re.M
    )
    assert {re.sub(r"[-_.]+", "-", name).lower() for name in direct} == set(pins)


def test_every_locked_package_has_a_version_and_hashes():
    text = re.sub(r"\\\n", " ", (ROOT / "requirements.lock").read_text())
    lines = [line for line in text.splitlines() if re.match(r"\w", line)]
    assert len(lines) > 100
    assert [line for line in lines if "==" not in line or "--hash=sha256:" not in line] == []


def test_this_environment_is_what_is_locked():
    if not (ROOT / ".venv/made-from").exists() or sys.prefix != str(ROOT / ".venv"):
        pytest.skip("this environment was not made by reproduce/environment.py")
    here = default_environment()
    for name, requirement in requirements("requirements.lock"):
        if requirement.marker is None or requirement.marker.evaluate(here):
            assert requirement.specifier.contains(importlib.metadata.version(name)), name


# ---------------------------------------------------------------- what an environment has become


def test_it_is_made_once(environment, capsys):
    for _ in range(2):
        assert environment.main() == 0
    out = capsys.readouterr().out
    assert out.startswith("Setting up .venv")
    assert out.count("\n") == 1
    assert environment.installed[0] == ["pip"]  # the one that installs all others
    assert ["tensorflow"] in environment.installed  # beside the others: it takes as long as they
    assert sorted(chain(*environment.installed)) == sorted(LOCKED)
    assert (environment.VENV / "etc/jupyter/jupyter_lab_config.py").exists()


def another_lock(environment):
    environment.LOCK.write_text("tqdm==1 \\\n    --hash=sha256:0\n")


def other_settings(environment):
    (environment.ETC / "jupyter/other.json").write_text("{}")


def moved(environment):
    made_from = environment.DONE.read_text()
    environment.DONE.write_text(made_from.replace(str(environment.ROOT), "/elsewhere"))


def broken(environment):
    environment.PYTHON.unlink()
    environment.PYTHON.write_text("#!/nowhere\n")
    environment.PYTHON.chmod(0o755)


def somebody_elses(environment):
    environment.DONE.unlink()


@pytest.mark.parametrize("change", [another_lock, other_settings, moved, broken, somebody_elses])
def test_it_is_made_again_from_nothing(environment, change, capsys):
    environment.main()
    left = environment.VENV / "left over"
    left.write_text("")
    change(environment)
    environment.installed.clear()
    assert environment.main() == 0
    assert "or of another lock file: making it again" in capsys.readouterr().out
    assert not left.exists()
    locked = ["tqdm"] if change is another_lock else LOCKED
    assert sorted(chain(*environment.installed)) == sorted(locked)
    assert environment.main() == 0
    assert made(environment) == 2
    assert (environment.VENV / "etc/jupyter/other.json").exists() == (change is other_settings)


@pytest.mark.parametrize("at", ["--clear", "--require-hashes", "-e"])
def test_a_set_up_that_was_killed_is_made_again(environment, at, monkeypatch):
    run = environment._run
    with monkeypatch.context() as patch:

        def killed(command):
            if at in command:
                raise KeyboardInterrupt
            run(command)

        patch.setattr(environment, "_run", killed)
        assert environment.main() == 130
    environment.installed.clear()
    assert environment.main() == 0
    assert sorted(chain(*environment.installed)) == sorted(LOCKED)
    assert environment.main() == 0
    assert made(environment) == (1 if at == "--clear" else 2)


def test_it_waits_for_the_last_step_of_a_set_up_that_was_killed(environment, monkeypatch, capfd):
    """Else both would write into one folder."""
    begun, ended = environment.ROOT / "begun", environment.ROOT / "ended"
    step = "import sys, time; open(sys.argv[1], 'w'); time.sleep(1); open(sys.argv[2], 'w')"
    command = [sys.executable, "-c", step, str(begun), str(ended)]
    with monkeypatch.context() as patch:

        def killed(_):
            threading.Thread(target=environment.really_run, args=[command]).start()
            while not begun.exists():
                time.sleep(0.01)
            raise KeyboardInterrupt

        patch.setattr(environment, "_run", killed)
        assert environment.main() == 130
    assert environment.main() == 0
    assert "Another process is setting up .venv: waiting" in capfd.readouterr().out
    assert ended.exists()


# ------------------------------------------------------------------------------ what is refused


def test_a_full_disk(environment, monkeypatch, capsys):
    usage = type("usage", (), {"free": 1e9})
    monkeypatch.setattr(environment.shutil, "disk_usage", lambda _: usage)
    assert environment.main() == 1
    assert re.search(r"has 1\.0 GB left, but \.venv needs 3: make room", capsys.readouterr().err)
    assert not environment.VENV.exists()


def test_a_project_that_cannot_be_written(environment, monkeypatch, capsys):
    monkeypatch.setattr(environment.os, "access", lambda *_: False)
    assert environment.main() == 1
    assert "cannot be written, and holds no finished .venv: copy" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("ERROR: [Errno 28] No space left on device", "the disk is full: .venv needs about 3 GB"),
        ("OSError: [Errno 30] Read-only file system", "cannot be written: copy the project"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", "not the one that requirements.lock"),
        ("ERROR: No matching distribution found", "see pip's message above"),
    ],
)
def test_a_step_that_fails(environment, output, message, capsys):
    command = [sys.executable, "-c", f"print({output!r}); raise SystemExit(1)"]
    with pytest.raises(environment.SetUpError, match=message):
        environment.really_run(command)
    assert output in capsys.readouterr().err


def test_another_python_is_refused_at_once(tmp_path):
    for name in ("python3.11", "python3.12", "python3.13", "python"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "python3").write_text(
        '#!/bin/sh\n[ "$1" = -S ] && exit 1\necho " python3 is 3.14."\n'
    )
    for file in tmp_path.iterdir():
        file.chmod(0o755)
    done = subprocess.run(
        ["bash", "-c", ". reproduce/environment.sh"],
        cwd=ROOT, env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "TensorFlow 2.21 needs Python 3.11, 3.12 or 3.13" in done.stderr
    assert "python3 is 3.14." in done.stderr
    assert done.stdout == ""
