"""The pages that Sphinx reads, made from the repository's own files: no text is kept twice.

The tree has the layout of the repository, so that the links between its pages work. Every other
file that a page links to is copied as well.
"""

import functools
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import docstrings
import nbformat
import numpy as np
import pandas as pd
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_output
from sphinx.pycode import ModuleAnalyzer

import vae_keras
from vae_keras import datasets
from vae_keras.reproduction import experiments, paper, paths, style
from vae_keras.reproduction.settings import FIGURES

ROOT = paths.ROOT
FRONT, CONTENTS = (Path(__file__).with_name(f"{name}.md") for name in ("front", "contents"))
FEW = 20  # rows that a table may have on a page
PLANE = "docs/plane.html"  # a self-contained page: copied to the same place
FRAME = f'<iframe class="plane" src="{PLANE}" title="The latent plane"></iframe>'
# The order of the menu; a figure that is not named here follows.
ORDER = (
    "fig_graphical_model", "fig_lower_bound", "fig_marginal_likelihood", "fig_manifold",
    "fig_samples", "fig_full_vb", "fig_differences",
)  # fmt: skip
# The library's modules by what a reader does with them, in the order of the menu.
TASKS = {
    "Build": ("networks", "layers", "distributions", "families", "priors"),
    "Train": ("models", "bounds", "callbacks"),
    "Evaluate": ("marginal_likelihood", "mcmc"),
    "Explore": ("pretrained", "traversals"),
    "Data": ("datasets", "pixels"),
    "Type hints": ("typing",),
}
# How-to pages with code that uses the library.
GUIDES = [
    f"docs/{name}.md" for name in ("own_model", "examples", "questions", "likelihood", "data")
]
MANY = 5  # members that a class may have without a table of them; examples that are named
WIDGET = "application/vnd.jupyter.widget-view+json"
# Functions of lessons that the site draws without a kernel, and the lesson's values they need.
LIVE = {"move": ("z", "log_joint", "log_p"), "follow": (), "show": ()}

# What a lesson folds, by the tag of the cell.
FOLDED = {"hide-input": "this code", "hide-cell": "the solution"}
# Columns of the committed tables, as the site names them; others lose their underscores.
COLUMNS = {
    "dataset": "data", "latent_dim": "$N_z$", "n_train": r"$N_\text{train}$",
    "split": "measured on", "lower_bound": "lower bound (nats)",
    "marginal_log_likelihood": "log p(x) (nats)",
}  # fmt: skip


def lay_out(tree: Path) -> None:
    """Write every page, and the files that pages link to, into the folder `tree`."""
    _write(tree, "index.md", front_page())
    _write(tree, "plane.md", f"# Walk in the latent plane\n\n{FRAME}\n")
    for file in ("CONTRIBUTING.md", "CHANGELOG.md", *_below("docs", "*.md")):
        text = (ROOT / file).read_text()
        if file == "docs/figures.md":
            names = sorted(paths.NAMES, key=lambda name: (*ORDER, name).index(name))
            text += _subpages(f"../reproduce/{name}" for name in names)
        if file == "docs/install.md":
            text += _subpages(["colab"])
        _write(tree, file, text)
    first, *lessons = _below("notebooks", "*.ipynb")
    for file in (first, *lessons):
        page = still(nbformat.read(ROOT / file, as_version=4))
        page = _introduced(page, tree, file, "as it was run and stored")
        if file == first:
            page.cells.append(new_markdown_cell(_subpages(Path(one).stem for one in lessons)))
        _write(tree, file, nbformat.writes(page))
    for name in paths.NAMES:
        file = f"reproduce/{name}.ipynb"
        page = _introduced(figure_page(name), tree, file, "and what was drawn with it")
        _write(tree, file, nbformat.writes(page))
    for file, text in api_pages().items():
        _write(tree, f"api/{file}.md", text)


def front_page() -> str:
    """The README in the site's order: the plane, what a reader can do first, then results.

    The site's cards stand for the README's line of links, and its menu for the section "More".
    """
    text = (ROOT / "README.md").read_text()
    link = re.escape(f"[{PLANE}]({PLANE})")  # opened in a clone; the site shows it
    text, found = re.subn(rf" Open [^.\n]*{link}[^\n]*", "", text)
    assert found == 1
    head, *sections = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    by_title = {section.partition("\n")[0].removeprefix("## "): section for section in sections}
    title, about, links, *figures = head.strip().split("\n\n")
    assert re.fullmatch(r"\[[^\n]* \| [^\n]*\)", links)
    cards, what = re.split(r"^(?=## )", FRONT.read_text(), flags=re.MULTILINE)
    plane = f"## Walk in the latent plane\n\n{FRAME}"
    first = [by_title.pop(name) for name in ("Start", "Train a VAE")]
    result = by_title.pop("Does it match the paper?").split("\n\n")
    result += figures
    del by_title["More"]  # a title that the README no longer has is an error, here and above
    parts = [title, about, cards, plane, what, *first, *result, *by_title.values()]
    return "\n\n".join(part.strip() for part in [*parts, CONTENTS.read_text()]) + "\n"


def _below(folder: str, pattern: str) -> list[str]:
    return [str(file.relative_to(ROOT)) for file in sorted((ROOT / folder).glob(pattern))]


def _write(tree: Path, file: str, text: str) -> None:
    """Write a page, and copy what it links to; the README is the site's front page.

    A link to the plane opens the page of the site that holds it, and one to a module of the
    library opens its description.
    """
    text = re.sub(r"(\]\((?:\.\./)*)README\.md", r"\1index.md", text)
    text = re.sub(r"\]\([\w./]*\bplane\.html\)", f"]({'../' * file.count('/')}plane.md)", text)
    modules = "|".join(docstrings.MODULES)
    text = re.sub(rf"(\]\((?:\.\./)*)vae_keras/({modules})\.py\)", r"\1api/\2.md)", text)
    if file.endswith(".md") and not file.startswith("api/"):
        text = docstrings.linked(text)
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


def _subpages(entries: Iterable[str]) -> str:
    """What the site's menu opens below a page: links, or `title <link>`."""
    lines = "\n".join(entries)
    return f"\n\n```{{toctree}}\n:hidden:\n\n{lines}\n```\n"


def _table(table: pd.DataFrame) -> str:
    """The table as Markdown: a number as it is, a missing one as an empty cell."""
    sides = ["---:" if pd.api.types.is_numeric_dtype(kind) else "---" for kind in table.dtypes]
    rows = [list(table.columns), sides, *table.astype(object).values.tolist()]
    cells = [["" if pd.isna(cell) else str(cell).replace("|", r"\|") for cell in r] for r in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


# ------------------------------------------------------------------------------------ notebooks


def _introduced(notebook: NotebookNode, tree: Path, file: str, how: str) -> NotebookNode:
    """`notebook` with a line below its title: what it is, and a link to download the file."""
    stored = tree / "stored" / file
    stored.parent.mkdir(parents=True, exist_ok=True)
    stored.write_bytes((ROOT / file).read_bytes())
    line = f"*A notebook, {how}:* {{download}}`{file} </stored/{file}>`"
    title, _, text = notebook.cells[0].source.partition("\n")
    notebook.cells[0].source = f"{title}\n\n{line}\n{text}"
    prose = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    linked = docstrings.linked("\0".join(cell.source for cell in prose)).split("\0")
    for cell, text in zip(prose, linked, strict=True):
        cell.source = text
    for cell in notebook.cells:
        for what in (FOLDED[tag] for tag in cell.metadata.get("tags", []) if tag in FOLDED):
            said = {"code_prompt_show": f"Show {what}", "code_prompt_hide": f"Hide {what}"}
            cell.metadata["mystnb"] = said
    return notebook


def still(notebook: NotebookNode) -> NotebookNode:
    """`notebook` with each widget replaced by what it showed when stored, and its settings.

    One of LIVE has a template as well, with which static/explore.js replaces the still.
    """
    state = notebook.metadata.pop("widgets", {}).get(
        "application/vnd.jupyter.widget-state+json", {"state": {}}
    )["state"]
    for place, cell in enumerate(notebook.cells):
        cell.source = re.sub(r" \(The sliders need a running kernel:[^)]*\)", "", cell.source)
        for output in cell.get("outputs", []):
            if WIDGET in output.get("data", {}):
                children = _children(output.data[WIDGET]["model_id"], state)
                cell.outputs = _shown(children)
                (name,) = re.findall(r"explore\(\s*(\w+)", cell.source)
                if name in LIVE:
                    found = values(notebook.cells[:place], LIVE[name])
                    live = f'<template class="live">{_live(name, children, found)}</template>'
                    cell.outputs.insert(0, new_output("display_data", {"text/html": live}))
    return notebook


def _children(model: str, state: dict) -> list[dict]:
    named = [child.removeprefix("IPY_MODEL_") for child in state[model]["state"]["children"]]
    return [state[child]["state"] for child in named]


def _shown(children: list[dict]) -> list[NotebookNode]:
    controls = [c for c in children if c.get("description")]
    settings = ", ".join(f"{_called(c)} = {_set_to(c)}" for c in controls)
    words = f"*As stored, with {settings}; in JupyterLab you can move these.*"
    shown = [nbformat.from_dict(out) for c in children for out in c.get("outputs", [])]
    return [*shown, new_output("display_data", {"text/markdown": words})]


def values(cells: list[NotebookNode], names: Iterable[str]) -> dict[str, Any]:
    """Of what a lesson's cells compute; they run until all is known, but for those that draw."""
    found: dict[str, Any] = {}
    for cell in cells:
        if found.keys() >= set(names):
            break
        if cell.cell_type == "code" and "hide-input" not in cell.metadata.get("tags", []):
            exec(cell.source, found)
    return {name: found[name] for name in names}


def _live(name: str, children: list[dict], found: dict[str, Any]) -> str:
    """The HTML of the controls, and of the lesson's values for the drawing of that name."""
    if name == "show":
        words = "<p><em>Here the plane stands for the two sliders: move the point in it.</em></p>"
        return words + FRAME.replace(PLANE, f"../{PLANE}")
    controls = "".join(map(_control, (c for c in children if c.get("description"))))
    numbers = json.dumps(found, default=lambda array: np.round(array.astype(float), 4).tolist())
    return (
        f'<div class="explorer" data-draws="{name}">{controls}<p class="words" role="status"></p>'
        f'<div class="pictures"></div><script type="application/json">{numbers}</script></div>'
    )


def _control(control: dict) -> str:
    name = _called(control)
    if "value" in control:  # a slider, with a Greek name
        ends = " ".join(f'{key}="{control[key]:g}"' for key in ("min", "max", "step", "value"))
        slider = f'<input type="range" name="{name}" {ends}>'
        return f"<label><i>&{name};</i>{slider}<output></output></label>"
    options = "".join(f"<option>{option}</option>" for option in control["_options_labels"])
    return f'<label>{name}<select name="{name}">{options}</select></label>'


def _called(control: dict) -> str:
    return control["description"].strip("$\\")  # without its TeX


def _set_to(control: dict) -> str:
    """The value of a slider, or the chosen entry of a list."""
    if "value" in control:
        return f"{control['value']:g}"
    return control["_options_labels"][control["index"]]


# -------------------------------------------------------------------------------------- figures


def figure_page(name: str) -> NotebookNode:
    """The notebook of a figure, preceded by the committed figures that it drew."""
    notebook = nbformat.read(paths.NOTEBOOKS / f"{name}.ipynb", as_version=4)
    head, *cells = notebook.cells
    for cell in cells:
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"^##", "###", cell.source, flags=re.MULTILINE)
    drawn = [part for folder in folders(name) for part in _drawn(name, folder)]
    drawn.append("## The notebook\n\nStored without outputs: what it drew is shown above.")
    notebook.cells = [head, *map(new_markdown_cell, drawn), *cells]
    return notebook


def folders(name: str) -> list[Path]:
    """Folders of ``figures/`` with that figure, the latest recipe and the most samples first.

    In a clone only those that git tracks: figures that a reader has drawn are not shown.
    """
    listed = subprocess.run(
        ["git", "ls-files", "figures"], cwd=ROOT, capture_output=True, text=True
    ).stdout.split()
    found = ROOT.glob(f"figures/*/{name}.json")
    kept = [file for file in found if not listed or str(file.relative_to(ROOT)) in listed]

    records = {file.parent: json.loads(file.read_text()) for file in kept}

    def order(folder: Path) -> tuple:
        return _recipe(records[folder]), records[folder]["parameters"].get("samples", 0)

    ordered = sorted(records, key=order, reverse=True)
    trained = any(record["runs"] for record in records.values())
    return ordered if trained else ordered[:1]  # figure 1 is the same under every preset


def _recipe(record: dict) -> int:
    return min((run["recipe"] for run in record["runs"]), default=experiments.RECIPE)


def _drawn(name: str, folder: Path) -> list[str]:
    """The parts of a page on one committed figure, as Markdown."""
    record = json.loads((folder / f"{name}.json").read_text())
    shown = folder.relative_to(ROOT)
    samples = max((run["samples"] for run in record["runs"]), default=None)
    size = f": {samples:,} training samples a model" if samples else ""
    tables = [folder / file for file in record["files"] if file.endswith(".csv")]
    return [
        f"## Preset {shown.name}{size}",
        f"![{name}, as drawn in {shown}](../{shown}/{name}.png)",
        *[part for file in tables for part in _numbers(file)],
        *_folded(
            "How this was made: command, seeds, data, device, versions, files",
            pd.DataFrame(how(record, str(shown)), columns=["", "this figure's"]),
        ),
    ]


def command(record: dict, folder: str) -> str:
    """The command that draws a figure with the parameters of `record`, by the present notebook."""
    name, preset, values = record["figure"], record["preset"], record["parameters"]
    own = FIGURES[name](preset=preset).parameters
    if values == own and folder == f"figures/{preset}":
        return f"reproduce/run_all.sh --preset {preset} --only {name}"
    given = {
        key: values[key]
        for key in own
        if key in values and values[key] != own[key] and key != "ends"
    }
    given |= {"figures_dir": folder}
    if preset != "quick":
        given = {"preset": preset} | given
    words = [f"-p {key} {shlex.quote(str(value))}" for key, value in given.items()]
    return f"papermill reproduce/{name}.ipynb results/out.ipynb {' '.join(words)}"


def how(record: dict, folder: str) -> list[tuple[str, str]]:
    """The JSON beside a figure, one row per entry: its name, and the value as Markdown."""
    runs, values = record["runs"], record["parameters"]
    rows = [("command", f"`{command(record, folder)}`"), ("preset", record["preset"])]
    seeds = values.get("seeds", [values["seed"]] if "seed" in values else [])
    if seeds:
        rows.append(("seeds", ", ".join(map(str, seeds))))
    for data in record["data"].values():
        kind = "embedded, in place of the paper's data" if data["embedded"] else "the paper's data"
        rows.append((data["title"], kind))
    if runs:
        hours = sum(run["training_s"] for run in runs) / 3600
        rows.append(("training", f"{len(runs)} runs, {hours:.1f} hours in all"))
        devices = Counter(", then ".join(run.get("trained_on", ["not recorded"])) for run in runs)
        each = [f"{n} {'run' if n == 1 else 'runs'} on {on}" for on, n in devices.most_common()]
        rows.append(("trained on", "; ".join(each)))
        recipes = sorted({run["recipe"] for run in runs})
        older = f"; today's code trains under recipe {experiments.RECIPE}"
        text = ", ".join(map(str, recipes)) + (older if recipes != [experiments.RECIPE] else "")
        rows.append(("recipe", f"{text} ([what that is](../docs/recipe.md))"))
        makers = (made for run in runs for made in run.get("made_by", []))
        codes = sorted({made["commit"] or f"sources {made['sources']}" for made in makers})
        if codes:  # sources: the hash of a copy without git
            rows.append(("trained by commit", ", ".join(f"`{_short(code)}`" for code in codes)))
    rows.append(("drawn by commit", f"`{_short(record['commit'])}`"))
    rows.append(("drawn on", f"{record['device']}, in {record['wall_time_s']:g} s"))
    packages = [f"{package} {number}" for package, number in record["versions"].items()]
    rows.append(("versions", ", ".join(packages)))
    files = [*record["files"], f"{record['figure']}.json"]
    rows.append(("files", ", ".join(f"[{file}](../{folder}/{file})" for file in files)))
    return rows


def _short(commit: str) -> str:
    return re.sub(r"^([0-9a-f]{12})[0-9a-f]*", r"\1", commit)


def _numbers(file: Path) -> list[str]:
    """A committed table, or the ends of its curves, if short; and ours beside the paper's."""
    table = pd.read_csv(file)
    link = f"../{file.relative_to(ROOT)}"
    parts = []
    if file.stem in ("fig_lower_bound", "fig_marginal_likelihood"):
        found = paper.differences(table)
        curve = list(found.columns[: list(found.columns).index("samples")])
        parts += [
            "### Against the paper\n\nOurs minus the paper's, in nats, at the last of the paper's "
            "own points on each curve. [Where ours differs](../docs/differences.md) has more.",
            _table(_ends(found.groupby(curve, sort=False).tail(1))),
            *_folded(f"All {len(found)} of the paper's points", found),
        ]
    which = ""
    if len(table) > FEW and "samples" in table:
        curve = [*table.columns[: list(table.columns).index("samples")]]
        curve += [name for name in ("n_train", "seed") if name in table.columns.drop(curve)]
        table = table.sort_values([*curve, "samples"]).groupby(curve, dropna=False).tail(1)
        which = ", where each curve ends"
    if len(table) <= FEW:
        parts += [f"### Numbers{which}", _table(_readable(table)), f"From [{file.name}]({link})."]
    return parts


def _readable(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the names that the figures have, large numbers with commas, as text."""
    named = {"dataset": datasets.TITLES, "algorithm": style.ALGORITHMS, "split": style.SPLITS}
    table = table.dropna(axis=1, how="all").replace(named)
    for name in table.select_dtypes("integer"):
        table[name] = [f"{number:,}" for number in table[name]]
    return table.rename(columns=lambda name: COLUMNS.get(name, name.replace("_", " ")))


def _ends(last: pd.DataFrame) -> pd.DataFrame:
    """A row per panel and algorithm, a column per split: the differences from the paper."""
    size = "n_train" if "n_train" in last else "latent_dim"
    keys = ["dataset", size, "algorithm"]
    wide = last.assign(difference=last.difference.map("{:+.1f}".format)).pivot(
        index=keys, columns="split", values="difference"
    )
    wide = wide.rename(columns=style.SPLITS).reset_index()
    order = {"dataset": list(datasets.TITLES), "algorithm": list(style.ALGORITHMS)}
    wide = wide.sort_values(
        keys, key=lambda c: c.map(order[c.name].index) if c.name in order else c
    )
    return _readable(wide)


def _folded(title: str, table: pd.DataFrame) -> list[str]:
    return [f"<details><summary>{title}</summary>", _table(table), "</details>"]


# ---------------------------------------------------------------------------------- the library


def api_pages() -> dict[str, str]:
    """Name -> text: the package, its modules, their classes, the shapes of `vae_keras.typing`."""
    names = [name for modules in TASKS.values() for name in modules]
    assert sorted(names) == sorted([*docstrings.MODULES, "typing"])
    models = [name for name in vae_keras.__all__ if name in vae_keras.models.__all__]
    of_models = {f"vae_keras.models.{name}": getattr(vae_keras, name) for name in models}
    index = "The {ref}`general index <genindex>` lists all names."
    parts = ["# The package vae_keras", vae_keras.__doc__, index, _contents(of_models, "model")]
    for task, modules in TASKS.items():
        rows = ["| module | what it is | names |", "| --- | --- | --- |", *map(_row, modules)]
        parts += [f"## {task}", "\n".join(rows)]
    parts.append("## On the command line\n\n[`python -m vae_keras`](commands.md) has commands.")
    menu = _subpages([*(f"{name} <{name}>" for name in names), "commands"])
    found = {"index": "\n\n".join(part.strip() for part in parts) + menu, "commands": _commands()}
    for name in docstrings.MODULES:
        found |= _module_pages(name)
    shapes = "\n".join(
        f"```{{py:data}} {name}\n{docstrings.as_markdown(alias.__metadata__[0])}\n```"
        for name, alias in docstrings.SHAPES.items()
    )
    models = "\n".join(_described(f".. autoclass:: vae_keras.typing.{n}") for n in docstrings.KINDS)
    about = _described(".. automodule:: vae_keras.typing\n   :no-members:")
    found["typing"] = (
        f"# typing\n\n{_imported('vae_keras', 'typing')}\n\n{about}\n{shapes}\n{models}\n"
    )
    return found


def _commands() -> str:
    """What `--help` says, of all commands and of each."""
    parts = [
        "# Command line",
        "`reproduce/run_all.sh` sets up `.venv` and passes its arguments to the command `figures`. "
        "The lessons and these commands use `vae_keras.reproduction`, which may change with any "
        "version, and is not described here.",
    ]
    for words in ("", " figures", " runs", " claims", " data"):
        command = f"python -m vae_keras{words}"
        text = subprocess.run(
            [sys.executable, *command.split()[1:], "--help"],
            env=os.environ | {"COLUMNS": "88"}, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        parts.append(f"## {command}\n\n```text\n{text}```")
    return "\n\n".join(parts) + "\n"


def _row(name: str) -> str:
    """A module's row in the table of its task, with its public names as links."""
    full, module = f"vae_keras.{name}", getattr(vae_keras, name)
    listed = getattr(module, "__all__", [*docstrings.SHAPES, *docstrings.KINDS])
    links = ", ".join(f"{{py:obj}}`~{full}.{one}`" for one in listed)
    return f"| {{py:obj}}`~{full}` | {_summary(module)} | {links} |"


def _module_pages(name: str) -> dict[str, str]:
    """A page of the module's `__all__`, in the order of its source, and one a class.

    A class with its arguments and methods has a page of its own. The module's page has the rest.
    """
    module = getattr(vae_keras, name)
    source, top = inspect.getsource(module), vae_keras.__all__
    listed = sorted(module.__all__, key=lambda one: (one not in top, _place(one, source)))
    values = {f"vae_keras.{name}.{one}": getattr(module, one) for one in listed}
    comments = ModuleAnalyzer.for_module(module.__name__).find_attr_docs()  # those that begin #:
    documented = {k: v for k, v in values.items() if inspect.isclass(v) or inspect.isfunction(v)}
    found, lines = {}, []
    for full, value in values.items():
        one = full.rpartition(".")[2]
        if inspect.isclass(value) and not issubclass(value, (tuple, Exception)):
            found[f"{name}/{one}"] = _class_page(name, one, value)
        elif full in documented:
            lines.append(f".. auto{'class' if inspect.isclass(value) else 'function'}:: {full}")
        else:  # a list of names, or a dict by name
            names = ", ".join(f"``{each!r}``" for each in value)
            about = [*comments[("", one)]]
            docstrings.as_rst(None, "data", full, value, None, about)
            lines.append(f".. py:data:: {one}\n\n   {' '.join(about).strip()}\n\n   {names}")
    about = _described(f".. automodule:: vae_keras.{name}\n   :no-members:")
    names = _contents(documented, "name")
    text = f"# {name}\n\n{_imported('vae_keras', name)}\n\n{about}\n\n{names}\n\n"
    text += _trained() if name == "pretrained" else ""
    text += _described("\n\n".join(lines)) if lines else ""
    used = rf"(?:{name}\.(?:{'|'.join(module.__all__)})\b|from vae_keras\.{name} import)"
    text += "".join(f"\n\n{part}" for part in _used_in(used))
    menu = (f"{page.rpartition('/')[2]} <{page}>" for page in found)
    return {name: text + (_subpages(menu) if found else "")} | found


def _class_page(module: str, name: str, cls: type) -> str:
    """How to import it, what it is and takes, then the members of a model or a layer by group."""
    full, home = f"vae_keras.{module}.{name}", f"vae_keras.{module}"
    if name in vae_keras.__all__:
        home = "vae_keras"
    is_layer = issubclass(cls, docstrings.keras.Layer)
    members = "no-members" if is_layer else "inherited-members"
    parts = [
        f"# {name}",
        _imported(home, name),
        _described(f".. autoclass:: {full}\n   :{members}:"),
        *(_sections(full, cls) if is_layer else []),
        *_used_in(rf"(?:{module}\.)?{name}\("),
    ]
    return "\n\n".join(parts) + "\n"


def _sections(full: str, cls: type) -> list[str]:
    """The members of a model or a layer, by `docstrings.MEMBERS`."""
    own = _members(cls)
    if issubclass(cls, vae_keras.layers.DistributionLayer):  # `build` does nothing in any of them
        own = [name for name in own if name != "build"] + ["event_shape"]  # which `__init__` sets
    groups = {title: [n for n in names if n in own] for title, names in docstrings.MEMBERS.items()}
    of_keras = ", ".join(f"`{name}`" for name in groups.pop("As in Keras"))
    rest = [n for n in own if not any(n in names for names in docstrings.MEMBERS.values())]
    source = inspect.getsource(cls)
    here = [name for name in rest if docstrings.is_defined_in(cls, name)]
    groups["For subclasses"] = sorted(here, key=lambda name: source.index(f"def {name}("))
    inherited = [
        f"{{py:obj}}`~{target}`" if (target := docstrings.described_at(full, name)) else f"`{name}`"
        for name in rest
        if name not in here
    ]
    parts = []
    for title, names in groups.items():
        last = inherited if title == "For subclasses" else []
        parts += [f"## {title}"] * bool(names or last)
        if title == docstrings.FIRST and len(names) > MANY:
            parts += [_contents({f"{full}.{name}": getattr(cls, name) for name in names}, "member")]
        parts += [_described("\n\n".join(_member(full, cls, name) for name in names))] * bool(names)
        parts += [f"Inherited: {', '.join(last)}."] * bool(last)
    return [*parts, *([f"## As in Keras\n\n{of_keras}."] if of_keras else [])]


def _imported(home: str, name: str) -> str:
    return f"```python\nfrom {home} import {name}\n```"


def _members(cls: type) -> list[str]:
    return [name for name in dir(cls) if name[0] != "_" and _is_described(cls, name)]


def _is_described(cls: type, name: str) -> bool:
    return any(docstrings.is_defined_in(base, name) for base in cls.__mro__)


def _member(full: str, cls: type, name: str) -> str:
    """The directive of a member; in the general index only where it is defined."""
    value = inspect.getattr_static(cls, name, None)
    kind = {property: "property", type(None): "attribute"}.get(type(value), "method")
    here = docstrings.is_defined_in(cls, name)
    return f".. auto{kind}:: {full}.{name}" + ("" if here else "\n   :no-index-entry:")


def _used_in(pattern: str) -> list[str]:
    """A section with pages whose code has that pattern, most often first; none: no section."""
    wanted = re.compile(rf"(?<![.\w]){pattern}")
    times = {link: len(wanted.findall("\n".join(code))) for link, code in _code()}
    found = sorted(filter(times.get, times), key=lambda link: -times[link])
    return [f"## Examples\n\n{', '.join(found[:MANY])}."] if found else []


@functools.cache
def _code() -> list[tuple[str, list[str]]]:
    """A link to each guide and lesson, and its blocks of Python."""
    found = []
    for page in (*GUIDES, *_below("notebooks", "*.ipynb")):
        text = (ROOT / page).read_text()
        title, code = text, re.findall(r"^```python$(.*?)^```$", text, re.DOTALL | re.MULTILINE)
        if page.endswith(".ipynb"):
            cells = nbformat.reads(text, as_version=4).cells
            title, code = cells[0].source, [c.source for c in cells if c.cell_type == "code"]
        (title, *_) = title.removeprefix("# ").split("\n")
        found.append((f"[{title}](/{page})", code))
    return found


def _trained() -> str:
    """The table of the models that `pretrained` has."""
    rows = []
    for name in vae_keras.pretrained.names():
        about = vae_keras.pretrained.about(name)
        run, bound = about["experiment"], about.get("lower_bound")
        marginal = about.get("marginal_log_likelihood")
        rows.append((f"`{name}`", about["data"], run["latent_dim"], bound, marginal))
    columns = ["model", "data", "$N_z$", "lower bound", "log p(x), appendix D"]
    words = "In nats per datapoint of the test set; the last column, of its first 1,000 points."
    return f"{_table(pd.DataFrame(rows, columns=columns))}\n\n{words}\n\n"


def _described(directive: str) -> str:
    return f"```{{eval-rst}}\n{directive}\n```"


def _contents(documented: dict[str, Any], what: str) -> str:
    """A table: full names, as links, and what each is."""
    rows = (f"| {{py:obj}}`~{full}` | {_summary(value)} |" for full, value in documented.items())
    return "\n".join([f"| {what} | what it is |", "| --- | --- |", *rows])


def _place(name: str, source: str) -> int:
    found = re.search(rf"^(?:class |def )?{name}\b", source, re.MULTILINE)
    return found.start() if found else 0


def _summary(described: Any) -> str:
    return docstrings.as_markdown((inspect.getdoc(described) or "").split("\n")[0])
