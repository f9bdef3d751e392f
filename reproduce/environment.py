"""Make ``.venv`` from ``requirements.lock``, where it is missing, unfit or of another lock.

reproduce/run_all.sh and tests/run_all.sh call this first, with whatever Python they find: standard
library only, and nothing outside the project is touched.

python reproduce/environment.py --lock     # requirements.txt -> requirements.lock, by the network
"""

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCK = ROOT / "requirements.lock"
PINS = ROOT / "requirements.txt"
DONE = VENV / "made-from"  # written last: what this environment was made of, and where
NEEDED_GB = 3  # the environment, and what pip unpacks on the way

# Runs inside .venv: exits with 1 where a package is only half there, as a killed pip leaves it.
CHECK = """
import importlib.metadata, sys, sysconfig
found = importlib.metadata.distributions(path=[sysconfig.get_path("purelib")])
files = (d.files if d.metadata and d.metadata["Name"] else None for d in found)
sys.exit(not all(f and all(x.locate().exists() for x in f if x.suffix != ".pyc") for f in files))
"""


class SetUpError(Exception):
    """The set-up cannot go on; the message says why, and the way out."""


def make() -> None:
    """Make or mend ``.venv``; returns at once where it is as it should be."""
    wanted = f"{ROOT}\n{LOCK.read_text()}{json.dumps(_settings())}"
    if _made_from() == wanted and _version(PYTHON):
        return
    if not os.access(ROOT, os.W_OK):
        raise SetUpError(
            f"{ROOT} cannot be written, and holds no finished .venv: copy the project to a folder "
            "that you may write and start there, or start once as its owner"
        )
    with open(ROOT / ".venv.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another process sets up .venv: waiting for it ...", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        if _made_from() != wanted or not _version(PYTHON):
            _make(wanted)


def _make(wanted):
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < NEEDED_GB and not PYTHON.exists():
        raise SetUpError(
            f"the disk of {ROOT} has {free:.1f} GB left, and .venv needs {NEEDED_GB}: make room, "
            "then start again"
        )
    found = _version(PYTHON)
    here = sys.version_info[:2]
    clear = []
    if VENV.exists() and not (found and found >= (3, 11) and found < (3, 14)):
        what = f"of Python {found[0]}.{found[1]}" if found else "broken"
        print(f".venv is {what}: it is made anew, with Python {here[0]}.{here[1]}.", flush=True)
        clear = ["--clear"]
    print("Setting up .venv from requirements.lock (about two minutes, 2 GB) ...", flush=True)
    DONE.unlink(missing_ok=True)
    if clear or not PYTHON.exists():
        _run([sys.executable, "-m", "venv", *clear, str(VENV)])
    install = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    locked = [*install, "--progress-bar=off", "--require-hashes", "-r", str(LOCK)]
    _run(locked, counted=True)
    if subprocess.run([str(PYTHON), "-c", CHECK], cwd=VENV).returncode:
        print("Some packages are only half there: installing all anew ...", flush=True)
        _run([*locked, "--force-reinstall"], counted=True)
    # The project itself, in place; what it needs to be built is among the locked packages.
    _run([*install, "--no-deps", "--no-build-isolation", "--no-index", "-e", str(ROOT)])
    write_settings()
    _open_standard_input()
    partial = DONE.with_suffix(".part")
    partial.write_text(wanted)
    partial.replace(DONE)


def _settings():
    """What the tools in ``.venv`` are told, so that nobody need tell them: file -> its text."""
    values = {
        # JupyterLab begins at the landing page, unless a file is named.
        "jupyter/jupyter_lab_config.json": {
            "LabApp": {
                "default_url": "/lab/tree/notebooks/00_begin_here.ipynb",
                "custom_css": True,
            },
            "ServerApp": {
                "tornado_settings": {"static_custom_path": [str(VENV / "etc/jupyter/custom")]}
            },
        },
        # No question over the page, and the room of a date for the names of the notebooks.
        "jupyter/labconfig/default_setting_overrides.json": {
            "@jupyterlab/apputils-extension:notification": {"fetchNews": "false"},
            "@jupyterlab/filebrowser-extension:browser": {"showLastModifiedColumn": False},
        },
        # Else each cell of a notebook that nbconvert runs in place is stored with its times of day,
        # and a reply that it misses, as may happen where a widget shows a picture, is never seen.
        "jupyter/jupyter_nbconvert_config.json": {
            "ExecutePreprocessor": {"record_timing": False, "timeout": 600}
        },
        # Else each kernel begins with a warning that its sockets on this machine are not encrypted.
        "ipython/ipython_kernel_config.json": {"IPKernelApp": {"log_level": 40}},
    }
    return {file: json.dumps(value) + "\n" for file, value in values.items()} | {
        "jupyter/custom/custom.css": (
            "/* JupyterLab's 250px, and no setting, cut the longest names of notebooks. */\n"
            "#jp-left-stack { min-width: 320px !important; }\n"
        ),
        "ipython/ipython_kernel_config.py": (
            "# A notebook stores what its kernel says of the language. With the version of Python\n"
            "# it would count as changed as soon as it is opened, wherever that is another.\n"
            "from ipykernel.ipkernel import IPythonKernel\n\n"
            'IPythonKernel.language_info.pop("version", None)\n'
        ),
    }


def write_settings() -> None:
    """Write them into ``.venv``, where its tools look for them."""
    for name, text in _settings().items():
        file = VENV / "etc" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def _open_standard_input():
    """Papermill ends with a trace where it is closed, as some schedulers have it."""
    (packages,) = (VENV / "lib").glob("python3.*/site-packages")
    code = "import os, sys\nif sys.stdin is None:\n    os.open(os.devnull, os.O_RDONLY)  # is 0\n"
    (packages / "sitecustomize.py").write_text(code)


def _made_from():
    try:
        return DONE.read_text()
    except (OSError, ValueError):
        return None


def _version(python: Path):
    """(major, minor) of an interpreter; None where it does not run."""
    try:
        code = "import sys; print(*sys.version_info[:2])"
        done = subprocess.run([str(python), "-c", code], capture_output=True, text=True)
        return tuple(map(int, done.stdout.split())) if done.returncode == 0 else None
    except (OSError, ValueError):
        return None


def _run(command: list, counted: bool = False) -> None:
    """Run a step of the set-up; of pip's many lines show a count, and the last ones if it fails."""
    total = len(re.findall(r"^[\w.-]+==", LOCK.read_text(), re.MULTILINE))
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        stdin=subprocess.DEVNULL, cwd=ROOT,
    )  # fmt: skip
    lines, seen, bar = [], 0, counted and sys.stdout.isatty()
    for line in process.stdout:
        lines = [*lines[-200:], line.rstrip()]
        seen += line.startswith(("Collecting ", "Requirement already satisfied"))
        if bar:
            at = "installing" if line.startswith("Installing") else f"{seen} of about {total}"
            print(f"\r  packages: {at:<20}", end="", flush=True)
    if bar:
        print()
    if process.wait():
        text = "\n".join(lines)
        errors = [line for line in lines if "error" in line.lower()] or lines
        print("\n".join(errors[-8:]), file=sys.stderr)
        raise SetUpError(_reason(text))


def _reason(text):
    again = "what was loaded is kept, and the next start goes on from there"
    if "No space left" in text or "Errno 28" in text:
        return (
            f"the disk is full: .venv needs about {NEEDED_GB} GB, and pip room in "
            f"{os.environ.get('TMPDIR', '/tmp')} (TMPDIR names another place); {again}"
        )
    if "Read-only file system" in text or "Permission denied" in text:
        return f"{ROOT} cannot be written: copy the project to a folder that you may write"
    if "THESE PACKAGES DO NOT MATCH THE HASHES" in text:
        return "a package is not the one that requirements.lock names: is the index a trusted one?"
    return f"see pip's message above; {again}"


def lock() -> None:
    """Resolve the direct pins to every version and hash, for all Pythons and systems at once."""
    command = [
        str(VENV / "bin" / "uv"), "pip", "compile", "--quiet", "--universal", "--generate-hashes",
        "--python-version", "3.11", "--no-emit-package", "vae-keras",
        "--custom-compile-command", "python reproduce/environment.py --lock",
        "--output-file", LOCK.name, PINS.name,
    ]  # fmt: skip
    if subprocess.run(command, cwd=ROOT).returncode:
        raise SetUpError("requirements.lock was not made: see uv's message above")


def main() -> int:
    """Returns the exit status."""
    try:
        lock() if sys.argv[1:] == ["--lock"] else make()
    except SetUpError as error:
        print(f"Set-up failed: {error}.", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"Set-up failed: {_reason(str(error))} ({error}).", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted: the next start goes on with the set-up.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
