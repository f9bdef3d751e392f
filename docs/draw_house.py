"""Draw the package as it stands: a box a module, in two wings, an arrow an import.

python docs/draw_house.py        # writes docs/house.svg

A module stands above all that it imports. Not drawn: what only hands names on (``__init__``,
``__main__``), and arrows to `typing`, which nearly every module has.
"""

import ast
import sys
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

ROOT = Path(__file__).resolve().parents[1]
WINGS = {"library": "vae_keras", "reproduction": "vae_keras.reproduction"}
WIDTH, HEIGHT, GAP = 1.75, 0.36, 0.14  # of a box, and between two beside each other


def modules() -> dict[str, Path]:
    """Name -> file, of each module that has something of its own."""
    files = sorted((ROOT / "vae_keras").rglob("*.py"))
    return {
        ".".join(file.relative_to(ROOT).with_suffix("").parts): file
        for file in files
        if not file.stem.startswith("__")
    }


def imports() -> dict[str, set[str]]:
    """Module -> the modules of the package that it imports, anywhere in its text."""
    known = modules()
    found: dict[str, set[str]] = {}
    for name, file in known.items():
        found[name] = set()
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                targets = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            else:
                continue
            found[name] |= {target for target in targets if target in known}
    return found


def floors(arrows: dict[str, set[str]]) -> dict[str, int]:
    """Module -> its floor: 0 for one that imports none, else above all that it imports.

    Raises ValueError where modules import each other in a circle.
    """
    found: dict[str, int] = {}

    def floor(name: str, above: tuple[str, ...] = ()) -> int:
        if name in above:
            raise ValueError(f"a circle of imports: {' -> '.join((*above, name))}")
        if name not in found:
            below = [floor(target, (*above, name)) for target in arrows[name]]
            found[name] = 1 + max(below, default=-1)
        return found[name]

    return {name: floor(name) for name in arrows}


def wing(name: str) -> str:
    """Which of the wings a module is in."""
    return "reproduction" if name.startswith("vae_keras.reproduction.") else "library"


def draw() -> plt.Figure:
    """The picture."""
    arrows = {name: to - {"vae_keras.typing"} for name, to in imports().items()}
    level = floors(arrows)
    rows: dict[tuple[str, int], list[str]] = defaultdict(list)
    for name, number in level.items():
        rows[wing(name), number].append(name)
    widest = {w: max(len(row) for (of, _), row in rows.items() if of == w) for w in WINGS}
    left, places = 0.0, {}
    edges = {}
    for of in WINGS:
        span = widest[of] * (WIDTH + GAP)
        edges[of] = (left, left + span)
        for (row_of, number), row in rows.items():
            if row_of == of:
                begin = left + (span - len(row) * (WIDTH + GAP)) / 2
                for i, name in enumerate(sorted(row)):
                    places[name] = (begin + (i + 0.5) * (WIDTH + GAP), float(number))
        left += span + 0.7
    top = max(level.values())
    figure, axis = plt.subplots(figsize=(14, 8.2))
    for of, (low, high) in edges.items():
        axis.add_patch(
            FancyBboxPatch(
                (low, -0.45),
                high - low,
                top + 0.9,
                boxstyle="round,pad=0.1",
                fc="#f4f4f4",
                ec="none",
            )
        )
        axis.annotate(
            f"{of}: {WINGS[of]}", ((low + high) / 2, top + 0.75), ha="center", fontsize=12
        )
    for name, targets in arrows.items():
        for target in sorted(targets):
            across = wing(name) != wing(target)
            (x, y), (to_x, to_y) = places[name], places[target]
            arrow = FancyArrowPatch(
                (x, y - HEIGHT / 2),
                (to_x, to_y + HEIGHT / 2),
                arrowstyle="-|>",
                mutation_scale=6,
                lw=0.6,
                color="#d55e00" if across else "#0072b2",
                alpha=0.25 if across else 0.5,
                shrinkA=0,
                shrinkB=0,
                zorder=1,
            )
            arrow.set_gid(f"{name} imports {target}")
            axis.add_patch(arrow)
    for name, (x, y) in places.items():
        private = name.rsplit(".", 1)[-1].startswith("_")
        axis.add_patch(
            FancyBboxPatch(
                (x - WIDTH / 2, y - HEIGHT / 2),
                WIDTH,
                HEIGHT,
                boxstyle="round,pad=0.02",
                fc="#dceefb" if ".models." in name else "white",
                ec="#999999" if private else "black",
                lw=0.8,
                ls="--" if private else "-",
                zorder=2,
            )
        )
        short = name.rsplit(".", 1)[-1]
        text = axis.annotate(short, (x, y), ha="center", va="center", fontsize=6.6, zorder=3)
        text.set_gid(name)
    axis.set(xlim=(-0.3, left - 0.4), ylim=(-0.9, top + 1.1))
    axis.axis("off")
    words = "blue boxes: vae_keras.models · dashed: private · orange arrows: into the library"
    axis.annotate(words, (0, -0.66), fontsize=8, va="top")
    return figure


if __name__ == "__main__":
    plt.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "vae_keras"}
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "house.svg"
    draw().savefig(file, bbox_inches="tight", metadata={"Date": None})
