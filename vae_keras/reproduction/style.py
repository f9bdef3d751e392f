"""The look of the figures: a colour per algorithm, dashes per split, one style file."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.figure import Figure

FILE = Path(__file__).with_name("paper.mplstyle")
ALGORITHMS = {  # name -> label in legends, in the order of the colours
    "aevb": "AEVB",
    "wake_sleep": "wake-sleep",
    "mcem": "Monte Carlo EM",
    "full_vb": "full VB",
}
DASHES: dict[str, Any] = {"train": (3, 1.5), "running": (1, 1), "test": ""}  # "": solid
MARKS, MARK_SIZE = {"train": "^", "running": "v", "test": "o"}, 4
SPLITS = {"train": "training set", "running": "running mean", "test": "test set"}
NATS = {"mnist": (-150, -95), "frey_face": (0, 1600)}  # the y axes of the paper's figure 2


def colours() -> dict[str, tuple[float, float, float]]:
    """Algorithm -> its colour in seaborn's "colorblind" palette, AEVB's darker.

    So AEVB's curves can be told from the others in grey print too.
    """
    blue, *others = sns.color_palette("colorblind")
    darker = tuple(0.6 * part for part in blue)
    return dict(zip(ALGORITHMS, [darker, *others], strict=False))


@contextlib.contextmanager
def context() -> Iterator[None]:
    """Apply the style of all figures within this context."""
    plt.draw_if_interactive()  # loads the backend, whose settings the context would undo
    with plt.style.context(FILE):
        yield


def subplots(rows: int, columns: int, **kwargs: Any) -> tuple[Figure, Any]:
    """`matplotlib.pyplot.subplots` in the style of all figures."""
    with context():
        return plt.subplots(rows, columns, **kwargs)
