"""How the figures look, and that a reader's own style is left alone."""

import matplotlib.pyplot as plt
import nbformat
import pytest
from matplotlib.colors import to_hex
from nbclient import NotebookClient

from vae_keras.reproduction import style


def test_each_algorithm_keeps_its_colour_from_figure_to_figure():
    """The committed figures have these, whatever subset of the algorithms they show."""
    assert {name: to_hex(colour) for name, colour in style.colours().items()} == {
        "aevb": "#01456b", "wake_sleep": "#de8f05", "mcem": "#029e73", "full_vb": "#d55e00",
    }  # fmt: skip
    assert set(style.colours()) == set(style.ALGORITHMS)


def test_the_test_set_is_solid_the_training_set_dashed_and_the_running_mean_dotted():
    assert style.DASHES["test"] == ""
    dash, gap = style.DASHES["train"]
    dot, between = style.DASHES["running"]
    assert dash > gap
    assert dot == between < dash
    assert (
        set(style.MARKS) == set(style.DASHES) == set(style.SPLITS) == {"train", "running", "test"}
    )
    assert len(set(style.MARKS.values())) == len(set(style.SPLITS.values())) == 3


def test_the_style_ends_with_the_figure():
    before = dict(plt.rcParams)
    with style.context():
        assert plt.rcParams["savefig.dpi"] == 200
        assert plt.rcParams["pdf.fonttype"] == 42  # fonts that can be edited, as journals ask
    figure, axes = style.subplots(1, 2, figsize=(3, 2))
    assert figure.get_layout_engine() is not None
    assert [axis.spines["top"].get_visible() for axis in axes] == [False, False]
    assert dict(plt.rcParams) == before


@pytest.mark.long
def test_a_notebook_shows_its_own_pictures_after_one_in_this_style(monkeypatch):
    """Without %matplotlib inline, as in the lessons."""
    monkeypatch.delenv("MPLBACKEND", raising=False)
    sources = (
        "from vae_keras.reproduction import style\nfigure, _ = style.subplots(1, 1)",
        "import matplotlib.pyplot as plt\nplt.plot([1, 2]);",
    )
    notebook = nbformat.v4.new_notebook(cells=[*map(nbformat.v4.new_code_cell, sources)])
    NotebookClient(notebook, kernel_name="python3").execute()
    shown = [output for cell in notebook.cells for output in cell.outputs if "data" in output]
    assert ["image/png" in output.data for output in shown] == [True, True]
