"""Jupyter as reproduce/environment.py sets it up, and what of a notebook a run may not change."""

import nbformat

from oracles.scripts import load


def settings(folder):
    """Write the settings into `folder`; the environment variables by which Jupyter finds them."""
    environment = load("reproduce/environment.py")
    environment.VENV = folder
    environment.write_settings()
    # Kernels look into the environment itself, or into the reader's profile.
    profile = folder / "profiles" / "profile_default"
    profile.parent.mkdir()
    (folder / "etc" / "ipython").rename(profile)
    return {
        "JUPYTER_CONFIG_DIR": str(folder / "etc" / "jupyter"),
        "JUPYTER_PREFER_ENV_PATH": "0",
        "IPYTHONDIR": str(profile.parent),
    }


def without_outputs(file):
    """The notebook in `file`, its outputs and execution counts removed."""
    notebook = nbformat.read(file, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook
