"""The pages that Sphinx reads, laid out from the repository as it stands: no text is kept twice.

The tree is laid out as the repository is, so that the links between its pages hold, and each other
file that a page links to comes along with it.
"""

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import docstrings
import nbformat
import pandas as pd
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_output

import vae_keras
from vae_keras.reproduction import experiments, notebooks, paper, paths, provenance

ROOT = paths.ROOT
CONTENTS = Path(__file__).with_name("contents.md")
FEW = 20  # rows of a table that is shown whole
WIDGET = "application/vnd.jupyter.widget-view+json"


def lay_out(tree: Path) -> None:
    """Write every page, and the files that pages link to, into the folder `tree`."""
    _write(tree, "index.md", (ROOT / "README.md").read_text() + CONTENTS.read_text())
    for file in ("CONTRIBUTING.md", "CHANGELOG.md", *_below("docs", "*.md")):
        _write(tree, file, (ROOT / file).read_text())
    for file in _below("notebooks", "*.ipynb"):
        notebook = nbformat.read(ROOT / file, as_version=4)
        notebook.cells.insert(1, _about(file, "as it was run and stored"))
        _write(tree, file, nbformat.writes(still(notebook)))
    for name in notebooks.NAMES:
        file = f"reproduce/{name}.ipynb"
        _write(tree, file, nbformat.writes(figure_page(name)))
    for file, text in api_pages().items():
        _write(tree, f"api/{file}.md", text)


def _below(folder: str, pattern: str) -> list[str]:
    return [str(file.relative_to(ROOT)) for file in sorted((ROOT / folder).glob(pattern))]


def _write(tree: Path, file: str, text: str) -> None:
    """Write a page, and copy what it links to; the README is the site's front page."""
    text = re.sub(r"(\]\((?:\.\./)*)README\.md", r"\1index.md", text)
    folder = (ROOT / file).parent
    for target in set(re.findall(r"\]\(([^)#:\s]+)\)", text)):
        linked = (folder / target).resolve()
        if linked.is_file() and linked.is_relative_to(ROOT) and linked.suffix != ".md":
            copy = tree / linked.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if not copy.exists():
                copy.write_bytes(linked.read_bytes())
    (tree / file).parent.mkdir(parents=True, exist_ok=True)
    (tree / file).write_text(text)


def _table(table: pd.DataFrame) -> str:
    """As Markdown; a number as it stands, none as an empty cell."""
    rows = [list(table.columns), ["---"] * len(table.columns), *table.astype(object).values.tolist()]
    cells = [["" if pd.isna(cell) else str(cell).replace("|", r"\|") for cell in r] for r in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


# ------------------------------------------------------------------------------------ notebooks


def _about(file: str, how: str) -> NotebookNode:
    download = f"{{download}}`{Path(file).name} <{Path(file).name}>`"
    return new_markdown_cell(f"*A notebook, {how}.* {download} *`{file}`*")


def still(notebook: NotebookNode) -> NotebookNode:
    """`notebook`, in place of each widget what it showed when it was stored, and its settings."""
    state = notebook.metadata.pop("widgets", {}).get(
        "application/vnd.jupyter.widget-state+json", {"state": {}}
    )["state"]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [
                new
                for output in cell.outputs
                for new in (
                    _shown(output.data[WIDGET]["model_id"], state)
                    if WIDGET in output.get("data", {})
                    else [output]
                )
            ]
    return notebook


def _shown(model: str, state: dict) -> list[NotebookNode]:
    children = [state[child.removeprefix("IPY_MODEL_")]["state"] for child in state[model]["state"]["children"]]
    controls = [c for c in children if c.get("description")]
    settings = ", ".join(f"{c['description']} = {c['value']:g}" for c in controls)
    words = f"*As stored, with {settings}; in JupyterLab these are to be moved.*"
    shown = [nbformat.from_dict(out) for c in children for out in c.get("outputs", [])]
    return [*shown, new_output("display_data", {"text/markdown": words})]


# -------------------------------------------------------------------------------------- figures


def figure_page(name: str) -> NotebookNode:
    """The notebook of a figure, and before its cells what was drawn with it and is committed."""
    notebook = nbformat.read(paths.NOTEBOOKS / f"{name}.ipynb", as_version=4)
    drawn = [part for folder in folders(name) for part in _drawn(name, folder)]
    head = "## The notebook"
    file = _about(f"reproduce/{name}.ipynb", "stored without outputs: what it drew is shown above")
    cells = [*map(new_markdown_cell, [*drawn, head]), file]
    notebook.cells[1:1] = cells
    return notebook


def folders(name: str) -> list[Path]:
    """Folders of ``figures/`` with that figure, by the latest recipe and the most samples first.

    Those that git keeps, where this is a clone: what a reader has drawn besides is not shown.
    """
    listed = subprocess.run(
        ["git", "ls-files", "figures"], cwd=ROOT, capture_output=True, text=True
    ).stdout.split()
    found = [file for file in ROOT.glob(f"figures/*/{name}.json")]
    kept = [file for file in found if not listed or str(file.relative_to(ROOT)) in listed]

    def order(file: Path) -> tuple:
        record = json.loads(file.read_text())
        return _recipe(record), record["parameters"].get("samples", 0)

    return [file.parent for file in sorted(kept, key=order, reverse=True)]


def _recipe(record: dict) -> int:
    return min((run["recipe"] for run in record["runs"]), default=experiments.RECIPE)


def _drawn(name: str, folder: Path) -> list[str]:
    """The parts of a page on one committed figure, as Markdown."""
    record = json.loads((folder / f"{name}.json").read_text())
    here = f"../{folder.relative_to(ROOT)}"
    samples = record["parameters"].get("samples")
    size = f": {samples:,} training samples a model" if samples else ""
    return [
        f"## Preset {record['preset']}{size}",
        f"![{name}, {folder.name}]({here}/{name}.png)",
        _table(pd.DataFrame(how(record, here), columns=["How it came about", ""])),
        *[part for file in record["files"] if file.endswith(".csv") for part in _numbers(folder / file)],
    ]


def command(record: dict, folder: str) -> str:
    """What draws a figure with the parameters of `record`, by the notebook as it is now."""
    name, preset, values = record["figure"], record["preset"], record["parameters"]
    own = provenance.parameters(name, preset)
    if values == own and folder == f"figures/{preset}":
        return f"reproduce/run_all.sh --preset {preset} --only {name}"
    given = {key: values[key] for key in own if key in values and values[key] != own[key]}
    given |= {"figures_dir": folder}
    if preset != "quick":
        given = {"preset": preset} | given
    words = [f"-p {key} {shlex.quote(str(value))}" for key, value in given.items()]
    return f"papermill reproduce/{name}.ipynb results/out.ipynb {' '.join(words)}"


def how(record: dict, here: str) -> list[tuple[str, str]]:
    """What the JSON beside a figure says, a row each: what, and the value as Markdown.

    `here`: the figure's folder, seen from the page.
    """
    runs, values = record["runs"], record["parameters"]
    rows = [("command", f"`{command(record, here.removeprefix('../'))}`")]
    seeds = values.get("seeds", [values["seed"]] if "seed" in values else [])
    if seeds:
        rows.append(("seeds", ", ".join(map(str, seeds))))
    for data in record["data"].values():
        kind = "embedded, in place of the paper's data" if data["embedded"] else "the paper's data"
        rows.append((data["title"], kind))
    if runs:
        devices = sorted({d for run in runs for d in run.get("trained_on", [])})
        hours = sum(run["training_s"] for run in runs) / 3600
        on = f", on {'; '.join(devices)}" if devices else ""
        rows.append(("training", f"{len(runs)} runs, {hours:.1f} hours, one after the other{on}"))
        recipes = sorted({run["recipe"] for run in runs})
        older = f"; today's code trains under recipe {experiments.RECIPE}"
        text = ", ".join(map(str, recipes)) + (older if recipes != [experiments.RECIPE] else "")
        rows.append(("recipe", f"{text} ([what that is](../docs/recipe.md))"))
        commits = sorted({made["commit"] for run in runs for made in run.get("made_by", [])})
        if commits:
            rows.append(("trained by commit", ", ".join(f"`{_short(c)}`" for c in commits)))
    rows.append(("drawn by commit", f"`{_short(record['commit'])}`"))
    rows.append(("drawn on", f"{record['device']}, in {record['wall_time_s']:,.0f} s"))
    packages = [f"{package} {number}" for package, number in record["versions"].items()]
    rows.append(("versions", ", ".join(packages)))
    files = [*record["files"], f"{record['figure']}.json"]
    rows.append(("files", ", ".join(f"[{file}]({here}/{file})" for file in files)))
    return rows


def _short(commit: str) -> str:
    return re.sub(r"^([0-9a-f]{12})[0-9a-f]*", r"\1", commit)


def _numbers(file: Path) -> list[str]:
    """A committed table: whole, or the ends of its curves; with the paper's points beside ours."""
    table = pd.read_csv(file)
    parts = []
    if file.stem in ("fig_lower_bound", "fig_marginal_likelihood"):
        found = paper.differences(table)
        curve = list(found.columns[: list(found.columns).index("samples")])
        parts += [
            "### Against the paper\n\nNats, at the last of the paper's own points on each curve; "
            "difference: ours minus the paper's.",
            _table(found.groupby(curve, as_index=False, sort=False).last()),
            f"<details><summary>All {len(found)} points</summary>",
            _table(found),
            "</details>",
        ]
    elif len(table) <= FEW:
        parts = [f"### {file.name}", _table(table)]
    elif "samples" in table:
        curve = [c for c in ("dataset", "latent_dim", "n_train", "algorithm", "split") if c in table]
        ends = table.sort_values("samples").groupby([*curve, "seed"]).last().reset_index()
        parts = [f"### {file.name}, where each curve ends", _table(ends[list(table.columns)])]
    return parts


# ---------------------------------------------------------------------------------- the library


def api_pages() -> dict[str, str]:
    """Name -> text: the package, a page a public module, and the shapes of `vae_keras.typing`."""
    names = "\n".join(
        f"| {{py:obj}}`~vae_keras.{name}` | {_summary(getattr(vae_keras, name))} |"
        for name in docstrings.MODULES
    )
    found = {
        "index": f"# vae_keras\n\n{vae_keras.__doc__}\n| module | |\n| --- | --- |\n{names}\n"
    }
    for name in docstrings.MODULES:
        directive = f"```{{eval-rst}}\n.. automodule:: vae_keras.{name}\n```"
        found[name] = f"# {name}\n\n{directive}\n"
    shapes = "\n".join(
        f"```{{py:data}} vae_keras.typing.{name}\n{alias.__metadata__[0]}\n```"
        for name, alias in docstrings.SHAPES.items()
    )
    text = vae_keras.typing.__doc__
    found["typing"] = f"# typing\n\n```{{py:module}} vae_keras.typing\n```\n\n{text}\n{shapes}\n"
    return found


def _summary(module: Any) -> str:
    return module.__doc__.strip().split("\n")[0].replace("|", r"\|")
