"""Jupyter as reproduce/environment.py sets it up, and what of a notebook a run may not change."""

import shutil

import nbformat

from vae_keras.reproduction import paths


def settings(folder):
    """Copy the settings into `folder`; the environment variables by which Jupyter finds them."""
    etc = paths.NOTEBOOKS / "etc"
    shutil.copytree(etc / "jupyter", folder / "jupyter")
    # Kernels look into the environment itself, or into the reader's profile.
    shutil.copytree(etc / "ipython", folder / "profiles" / "profile_default")
    return {
        "JUPYTER_CONFIG_DIR": str(folder / "jupyter"),
        "JUPYTER_PREFER_ENV_PATH": "0",
        "IPYTHONDIR": str(folder / "profiles"),
    }


def without_outputs(file):
    """The notebook in `file`, its outputs and execution counts removed."""
    notebook = nbformat.read(file, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook
