"""Pictures that follow a slider, and are there without a kernel too."""

from collections.abc import Callable
from typing import Any

import ipywidgets
from IPython.core.pylabtools import print_figure
from IPython.display import display
from matplotlib.figure import Figure


def explore(draw: Callable[..., Figure], **controls: Any) -> None:
    """Show controls, as `ipywidgets.interactive` takes them, and what `draw` draws of their values.

    `draw`: a function that returns a figure of pyplot's. Where no kernel runs, as on a page, the
    first of its figures is shown instead. Raises what `draw` raises.
    """
    panel = ipywidgets.interactive(draw, **controls)
    picture = print_figure(panel.result, base64=True)
    display(panel._repr_mimebundle_() | {"image/png": picture}, raw=True)
