"""Make ``.venv`` from ``requirements.lock`` if it is missing, unfinished, broken or out of date.

reproduce/run_all.sh, tests/run_all.sh and lab call this first, with any suitable Python. It uses
only the standard library and changes nothing outside the project.

python reproduce/environment.py --lock     # requirements.txt -> requirements.lock; needs a network
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCK = ROOT / "requirements.lock"
ETC = ROOT / "reproduce" / "etc"  # configuration of Jupyter and Python in .venv
DONE = VENV / "made-from"  # written last: what .venv was made from, and where
NEEDED_GB = 3  # .venv, and what pip unpacks temporarily

AGAIN = "downloads are kept for the next start"
COPY = "copy the project to a writable folder"
REASONS = {  # message of pip or the system -> cause and remedy
    "No space left|Errno 28": f"the disk is full: .venv needs about {NEEDED_GB} GB, and pip "
    f"space in {os.environ.get('TMPDIR', '/tmp')} (set TMPDIR to change it); {AGAIN}",
    "Read-only file system|Permission denied": f"{ROOT} cannot be written: {COPY}",
    "THESE PACKAGES DO NOT MATCH THE HASHES": "a package is not the one that requirements.lock "
    "names: check that the package index can be trusted",
    "": f"see pip's message above; {AGAIN}",
}


class SetUpError(Exception):
    """The set-up failed; the message says why, and what to do."""


def make() -> None:
    """Make ``.venv``, or make it again; returns at once if it is complete."""
    if _is_made():
        return
    if not os.access(ROOT, os.W_OK):
        raise SetUpError(
            f"{ROOT} cannot be written, and holds no finished .venv: {COPY} and start there, or "
            "start once as the owner"
        )
    with open(ROOT / ".venv.lock", "w") as lock:
        os.set_inheritable(lock.fileno(), True)  # held until a killed set-up's last step has ended
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another process is setting up .venv: waiting for it ...", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_made():
            _make()


def _is_made():
    """Whether a set-up of this lock file, in this folder, has finished, and its Python runs."""
    try:
        made = DONE.read_text() == _wanted()
        return made and subprocess.run([PYTHON, "-c", ""], capture_output=True).returncode == 0
    except (OSError, ValueError):
        return False


def _wanted():
    return "\n".join([str(ROOT), *(f.read_text() for f in [LOCK, *sorted(ETC.rglob("*.*"))])])


def _make():
    wanted = _wanted()  # before anything is installed: the lock file may change meanwhile
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < NEEDED_GB and not PYTHON.exists():
        raise SetUpError(
            f"the disk of {ROOT} has {free:.1f} GB left, but .venv needs {NEEDED_GB}: make room, "
            "then start again"
        )
    if VENV.exists():
        print(".venv is unfinished, broken or of another lock file: making it again.", flush=True)
    print("Setting up .venv from requirements.lock (about two minutes, 2 GB) ...", flush=True)
    _run([sys.executable, "-m", "venv", "--clear", str(VENV)])
    install = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    _install(install)
    # The project itself, as an editable install; its build packages are locked, too.
    _run([*install, "--no-deps", "--no-build-isolation", "--no-index", "-e", str(ROOT)])
    shutil.copytree(ETC, VENV / "etc", dirs_exist_ok=True)
    (packages,) = (VENV / "lib").glob("python3.*/site-packages")
    (VENV / "etc/sitecustomize.py").replace(packages / "sitecustomize.py")
    compile_all = ["-m", "compileall", "-qq", "-j0", "-x/tests/", str(packages)]
    subprocess.run([str(PYTHON), *compile_all], close_fds=False)
    DONE.write_text(wanted)


def _install(install):
    """Install the locked packages: first the faster pip, then the rest in parallel parts."""
    parts = [[] for _ in range(5)]
    alone = {"pip": 0, "tensorflow": 1}  # TensorFlow is half of the download
    for i, package in enumerate(re.split(r"^(?=\w)", LOCK.read_text(), flags=re.M)[1:]):
        parts[alone.get(package.split("==")[0], 2 + i % 3)].append(package)
    # The lock file is complete (--no-deps). Bytecode is compiled later, on all cores.
    install = [*install, "--progress-bar=off", "--no-deps", "--no-compile", "--require-hashes"]
    with tempfile.TemporaryDirectory() as folder:
        commands = []
        for i, part in enumerate(parts):
            file = Path(folder, f"{i}.txt")
            file.write_text("".join(part))
            commands.append([*install, "-r", str(file)])
        _run(commands[0])
        with ThreadPoolExecutor() as pool:
            list(pool.map(_run, commands[1:]))


def _run(command):
    """Run a step of the set-up; show its last line in a terminal, and its errors if it fails."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        stdin=subprocess.DEVNULL, cwd=ROOT, close_fds=False,
    )  # fmt: skip
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip())
        if sys.stdout.isatty():
            print(f"{lines[-1][:78]:<78}", end="\r", flush=True)
    if process.wait():
        errors = [line for line in lines if "error" in line.lower()] or lines
        print("\n".join(errors[-8:]), file=sys.stderr)
        raise SetUpError(_reason("\n".join(lines)))


def _reason(text):
    return next(reason for said, reason in REASONS.items() if re.search(said, text))


def lock() -> None:
    """Resolve the direct pins to all versions and hashes, for all Pythons and systems at once."""
    options = "-q --universal --generate-hashes --python-version 3.11 --no-emit-package vae-keras"
    header = "--custom-compile-command", "python reproduce/environment.py --lock"
    command = [VENV / "bin/uv", "pip", "compile", *options.split(), *header, "-o", LOCK.name]
    if subprocess.run([*command, "requirements.txt"], cwd=ROOT).returncode:
        raise SetUpError("requirements.lock was not written: see uv's message above")


def main() -> int:
    """Make the environment or, with ``--lock``, the lock file; returns the exit status."""
    try:
        lock() if sys.argv[1:] == ["--lock"] else make()
    except (SetUpError, OSError) as error:
        why = error if isinstance(error, SetUpError) else f"{_reason(str(error))} ({error})"
        print(f"Set-up failed: {why}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "\nInterrupted: the next start begins again with the downloads that are there.",
            file=sys.stderr,
        )
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
