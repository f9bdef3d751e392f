"""Pictures that follow a slider, with a static picture where no kernel runs."""

from collections.abc import Callable
from typing import Any

import ipywidgets
from IPython.core.pylabtools import print_figure
from IPython.display import display
from matplotlib.figure import Figure


def explore(draw: Callable[..., Figure], **controls: Any) -> None:
    """Show controls, as of `ipywidgets.interactive`, and the figure that `draw` returns for them.

    `draw`: a function of the controls' values that returns a pyplot figure. Without a kernel, as
    on a web page, its first figure is shown instead. Raises any exception of `draw`.
    """
    panel = ipywidgets.interactive(draw, **controls)
    picture = print_figure(panel.result, base64=True)
    display(panel._repr_mimebundle_() | {"image/png": picture}, raw=True)
