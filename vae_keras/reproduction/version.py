"""The code that made a run or a figure (version, commit, hash), and the device it ran on."""

import ast
import functools
import hashlib
import platform
import re
import subprocess
from pathlib import Path

from vae_keras import __version__


def hash_of(package: Path) -> str:
    """A hash of the names and contents of all files in a folder.

    Hidden files and ``__pycache__`` are ignored.
    """
    digest = hashlib.sha256()
    for file in sorted(path for path in package.rglob("*") if path.is_file()):
        name = file.relative_to(package)
        if not any(part.startswith((".", "__pycache__")) for part in name.parts):
            content = file.read_bytes()
            digest.update(f"{name.as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


PACKAGE = Path(__file__).parents[1]


@functools.cache  # of the code as it was imported
def hash_of_code(files: tuple[str, ...]) -> str:
    """A hash of these files of the package.

    In Python files, comments, docstrings and formatting are ignored.
    """
    digest = hashlib.sha256()
    for name in files:
        content = (PACKAGE / name).read_bytes()
        if name.endswith(".py"):
            tree = ast.parse(content)
            for node in ast.walk(tree):
                if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (
                    ast.get_docstring(node, clean=False) is not None
                ):
                    del node.body[0]
            content = ast.dump(tree).encode()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


SOURCES = hash_of(PACKAGE)  # of the code as it was imported; files may change later


def commit() -> str | None:
    """The commit of the checkout, with `-dirty` if the sources differ; None outside a checkout."""

    def git(*arguments):
        command = ["git", *arguments]
        try:
            done = subprocess.run(command, cwd=PACKAGE.parent, capture_output=True, text=True)
        except OSError:  # git is not installed
            return ""
        return done.stdout.strip() if done.returncode == 0 else ""

    if not git("ls-files", "vae_keras/__init__.py"):  # the package is not part of a checkout
        file = PACKAGE.parent / "reproduce" / "commit.txt"  # which `git archive` fills in
        said = file.read_text().strip() if file.exists() else ""
        return said if re.fullmatch("[0-9a-f]{40}", said) else None
    changed = git("status", "--porcelain", "--", "vae_keras", "reproduce")
    return git("rev-parse", "HEAD") + ("-dirty" if changed else "")


def this() -> dict:
    """This version, as recorded in `made_by` of a run."""
    return {"version": __version__, "commit": commit(), "sources": SOURCES}


def others(record: dict) -> str:
    """The versions that made a run, as text; "" if only this version did."""
    made_by, names = record.get("made_by", []), []
    if all(made["sources"] == SOURCES for made in made_by):
        return ""
    for made in made_by:
        head, dirty, _ = (made["commit"] or "").partition("-dirty")
        at = f"commit {head[:8]}{dirty}" if head else f"sources {made['sources']}"
        names.append(f"version {made['version']} ({at})")
    return " and then ".join(names)


def instructions() -> list[str]:
    """The vector instruction sets that the CPU reports; results may depend on them."""
    cpuinfo = Path("/proc/cpuinfo")
    found = re.search("^flags.*", cpuinfo.read_text(), re.M) if cpuinfo.exists() else None
    wanted = ("avx", "fma", "amx", "sse4")
    return sorted(flag for flag in (found[0].split() if found else []) if flag.startswith(wanted))


def device() -> str:
    """The GPUs that TensorFlow sees, else the CPU."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        return ", ".join(tf.config.experimental.get_device_details(g)["device_name"] for g in gpus)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"CPU, {len(models)} x {models[0]}" if models else f"CPU, {platform.machine()}"
