"""Runs a notebook's cells as papermill would, in a shell of the test process: no kernel."""

import builtins
import sys

import matplotlib.pyplot as plt
import numpy as np
import papermill
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from vae_keras import marginal_likelihood
from vae_keras.reproduction import paths


class Shell(InteractiveShell):
    def enable_gui(self, gui=None):
        """Of a notebook that says where its pictures go."""


def run_cells(name, parameters, monkeypatch):
    """The error that ended ``reproduce/<name>.ipynb``, or None; `parameters`: what is injected."""
    notebook = papermill.iorw.load_notebook_node(str(paths.NOTEBOOKS / f"{name}.ipynb"))
    return run(papermill.parameterize.parameterize_notebook(notebook, parameters), monkeypatch)


def run(notebook, monkeypatch):
    """The error that ended a notebook, or None."""
    # The shell takes its place, and autograph fails on what is defined there.
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    shell = Shell(config=Config({"HistoryManager": {"enabled": False}}))
    monkeypatch.setattr(builtins, "get_ipython", lambda: shell, raising=False)
    try:
        for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
            result = shell.run_cell(cell.source, store_history=True)
            if not result.success:
                return result.error_before_exec or result.error_in_exec
    finally:
        shell.reset()
        plt.switch_backend("agg")
    return None


def estimate_nothing(monkeypatch):
    """Estimators of log p(x) are slow, and tested elsewhere: let them give ones."""

    def nothing_estimated(model, x, *_, **__):
        return marginal_likelihood.Estimate(*np.ones((3, len(x))))

    for estimator in ("appendix_d", "importance_sampling"):
        monkeypatch.setattr(marginal_likelihood, estimator, nothing_estimated)
