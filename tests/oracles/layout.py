"""What is wrong with the layout of a figure, by the boxes that the renderer itself gives."""

import itertools
import re

import numpy as np
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.transforms import Bbox


def problems(figure) -> list[str]:
    """Text on text, on a curve or on a neighbour; text, curves or points that are cut off."""
    figure.draw_without_rendering()
    page, found = figure.bbox, []
    texts = _texts(figure)
    for text, box in texts:
        if not (page.x0 - 1 <= box.x0 and box.x1 <= page.x1 + 1
                and page.y0 - 1 <= box.y0 and box.y1 <= page.y1 + 1):  # fmt: skip
            found.append(f"{text!r} leaves the page")
    for (one, box), (other, other_box) in itertools.combinations(texts, 2):
        if _overlap(box, other_box):
            found.append(f"{one!r} lies on {other!r}")
    for axis in figure.get_axes():
        window = axis.get_window_extent()
        if axis.axison and axis.images:
            found += [f"{text!r} lies on a picture" for text, box in texts if _overlap(box, window)]
        inside = [(text, Bbox.intersection(box, window)) for text, box in texts]
        inside = [(text, box) for text, box in inside if box is not None]
        for line in axis.lines if inside else []:
            path = line.get_transform().transform_path(line.get_path())
            if len(path.vertices):
                hit = [text for text, box in inside if path.intersects_bbox(box, False)]
                found += [f"{text!r} lies on a curve" for text in hit]
        found += _cut_off(axis, window, [text for text, _ in texts])
    return sorted(set(found))


def _texts(figure):
    hidden, shown = _hidden(figure), []
    for text in figure.findobj(lambda a: isinstance(a, Text) and a.get_visible()):
        if text.get_text().strip() and text not in hidden:
            shown.append((text.get_text(), text.get_window_extent()))
    return shown


def _hidden(figure):
    """Tick labels beyond the limits and those of an axis that is off are there, but not drawn."""
    hidden = set()
    for axis in figure.get_axes():
        for ticks in (axis.xaxis, axis.yaxis):
            low, high = sorted(ticks.get_view_interval())
            for tick in [*ticks.get_major_ticks(), *ticks.get_minor_ticks()]:
                hidden.add(tick.label2)
                at = tick.label1.get_position()[0 if ticks is axis.xaxis else 1]
                if not (axis.axison and low <= at <= high):
                    hidden.add(tick.label1)
    return hidden


def _overlap(one, other):
    box = Bbox.intersection(one, other)
    return box is not None and box.width > 1 and box.height > 1  # pixels


def _cut_off(axis, window, texts):
    """A curve whose end is not to be seen and that no text names; a point outside its axes."""
    (low, high), (left, right) = sorted(axis.get_ylim()), sorted(axis.get_xlim())
    curves = [
        line for line in axis.lines if line.get_linestyle() != "None" and len(line.get_xdata())
    ]
    for line in axis.lines:  # marks alone are no curve: early ones may lie below the axis
        x = np.asarray(line.get_xdata(), float)
        if len(x) and not (left <= x[-1] <= right):
            yield f"a curve of {axis.get_title()!r} ends beside its axes"
    for line in curves:
        x, y = np.asarray(line.get_xydata(), float).T
        if len(x) == 1 and line.get_marker() in (None, "None", ""):
            yield f"a curve of {axis.get_title()!r} is one point, and has no mark"
        if not (low <= y[-1] <= high):
            said = [float(n) for text in texts for n in re.findall(r"ends at (-?\d+)", text)]
            same = [c.get_ydata()[-1] for c in curves if c.get_color() == line.get_color()]
            if not any(abs(n - np.mean(same)) < 1 for n in said):  # the mean of its splits
                yield f"a curve of {axis.get_title()!r} ends at {y[-1]:.1f}, outside its axes"
    for points in axis.collections:
        offsets = points.get_offset_transform().transform(points.get_offsets())
        if len(offsets) > 1 and not all(window.contains(*at) for at in offsets):
            yield f"points of {axis.get_title()!r} lie outside its axes"


def legend_labels(figure) -> list[str]:
    """What the legend below the panels lists."""
    (legend,) = [a for a in figure.get_children() if isinstance(a, Legend)]
    return [text.get_text() for text in legend.get_texts()]
