"""Make the tables of these pages from those that the experiments wrote: python docs/tables.py

A page has ``<!-- table: NAME -->`` above a table. The table's lines, which begin with |, are
replaced.
"""

import functools
import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from vae_keras import datasets
from vae_keras.reproduction import claims, paper, style

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks/validation"))
differences, iwae, published = map(importlib.import_module, ("differences", "iwae", "published"))
TABLE = re.compile(r"(<!-- table: (.+?) -->\n)(?:\|.*\n)*")
LATER = 10**7  # the second table of the paper's budget begins there
MEASURED = {  # the examples of others: their name, and where the bound was measured
    "keras": ("Keras", "training, mean over epoch {epoch}"),
    "pytorch": ("PyTorch", "test, epoch {epoch}"),
    "flax": ("Flax", "test, epoch {epoch}"),
    "altosaar": ("Altosaar", "validation, epoch {epoch}"),
}


def markdown(header: list, rows: list[list]) -> str:
    """A table with the cells as they are given."""
    return claims.markdown(pd.DataFrame(rows, columns=header).astype(str))


def of_figure(name: str, budget: str, last: bool) -> str:
    """Ours minus the paper's: at the last points, or the least and the most."""
    found = paper.differences(curves(name, budget))
    return differences.table(found, last, LATER if budget == "paper" else None)


def curves(name: str, budget: str) -> pd.DataFrame:
    """The curves of a committed figure."""
    return pd.read_csv(ROOT / "figures" / budget / f"{name}.csv")


def of_plateau() -> str:
    """Wake-sleep's running mean at the paper's first point, with and without an encoder."""
    found = read("recipe/plateau").query("split == 'running'")
    found = found.drop_duplicates(["variation", "latent_dim"])
    rows = []
    for variation in ("at rest, step 0.01", "at rest, step 0.02", "learns, step 0.01",
                      "learns, step 0.02"):  # fmt: skip
        encoder, step = variation.split(", step ")
        of_it = found[found.variation == variation].sort_values("latent_dim")
        cells = [f"{row.difference:+.1f} ± {row.spread:.1f}" for row in of_it.itertuples()]
        rows.append(
            [{"at rest": "frozen at its initial weights"}.get(encoder, encoder), step, *cells]
        )
    return markdown(["encoder", "step", *(f"N_z = {size}" for size in (2, 5, 10, 20))], rows)


def of_overfitting() -> str:
    """log p(x) of both sets, and how far the bound lies below."""
    found = read("validation/overfitting").set_index(["dataset", "latent_dim", "samples", "split"])
    rows = []
    for dataset, latent_dim in found.index.droplevel([2, 3]).unique():
        digits, cells = (0 if dataset == "frey_face" else 1), []
        for samples in (10**7, 10**8):
            both = [found.loc[(dataset, latent_dim, samples, s)] for s in ("train", "test")]
            for column in ("log_likelihood", "encoder"):
                cells.append(" / ".join(f"{row[column]:.{digits}f}" for row in both))
        rows.append([f"{datasets.TITLES[dataset]}, N_z = {latent_dim}", *cells])
    columns = ["10^7: log p(x)", "log p(x) - bound", "10^8: log p(x)", "log p(x) - bound"]
    return markdown(["train / test", *columns], rows)


def of_large_training_set() -> str:
    """Ours minus the paper's from 2 x 10^6 samples on, by either quantity: least and most."""
    found = read("recipe/large_training_set").query("samples >= 2_000_000")
    rows = []
    for variation, of_it in found.groupby("variation"):
        cells = [f"{of_it.samples.max():,}", _span(of_it.seeds)]
        for quantity in ("appendix_d", "lower_bound"):
            for split in ("train", "test"):
                one = of_it[of_it.split == split]
                apart = one[quantity] - one.paper
                none = apart.isna().all()  # Monte Carlo EM has no bound
                cells.append("" if none else f"{apart.min():+.1f} to {apart.max():+.1f}")
        algorithm, _, how = variation.partition(", ")
        rows.append([f"{style.ALGORITHMS[algorithm]}{', ' if how else ''}{how}", *cells])
    columns = [
        "N_train = 50,000",
        "up to",
        "seeds",
        "log p(x): train",
        "test",
        "bound: train",
        "test",
    ]
    return markdown(columns, rows)


def _span(numbers: pd.Series) -> str:
    """The least and the greatest of whole numbers, or the one."""
    return " to ".join(f"{n:.0f}" for n in dict.fromkeys((numbers.min(), numbers.max())))


def of_published() -> str:
    """The numbers that others published, beside ours."""
    found, rows = pd.read_csv(published.TABLE), []
    source = found.drop_duplicates(["project", "epoch"]).set_index(["project", "epoch"]).source
    order = list(MEASURED)
    summary = published.summary(found).sort_values(
        ["project", "samples"], key=lambda c: c.map(order.index) if c.name == "project" else c
    )
    for row in summary.itertuples():
        title, measured = MEASURED[row.project]
        numbers = [f"{row.published:.2f}", f"{row.here:.2f}"]
        numbers += [f"{row.spread:.2f}" if row.seeds > 1 else "", f"{row.difference:+.2f}"]
        link = f"[{title}]({source[row.project, row.epoch]})"
        rows.append([link, measured.format(epoch=row.epoch), f"{row.samples:,}", *numbers])
    columns = ["example", "measured on", "samples", "published", "here", "spread", "difference"]
    return markdown(columns, rows)


def of_iwae() -> str:
    """IWAE's table 1: what each run had after so many passes; the published number at the end."""
    found, rows = pd.read_csv(iwae.TABLE), []
    for (estimator, k), end in iwae.PUBLISHED.items():
        title = f"{'IWAE' if estimator == 'IW' else 'VAE'}, k = {k}"
        of_it = found[
            (found.estimator == estimator) & (found.k == k) & (found.as_theirs == "nothing")
        ]
        for row in of_it.itertuples():
            last = f"{end:.2f}" if row.passes == iwae.ENDS[-1] else ""
            rows.append([
                title, row.seed, f"{row.passes:,}", f"{row.learning_rate:g}", f"{row.bound:.2f}",
                f"{row.nll:.2f}", f"{row.digits:,}", last,
            ])  # fmt: skip
        if iwae.ENDS[-1] not in of_it.passes.tolist():
            rows.append([title, "", f"{iwae.ENDS[-1]:,}", "", "", "", "", f"{end:.2f}"])
    columns = ["model", "seed", "passes", "learning rate", "bound", "NLL", "test digits"]
    return markdown([*columns, "NLL, published"], rows)


def of_iwae_differences() -> str:
    """The VAE with k = 1, by what it does as IWAE's own code: the NLL after so many passes."""
    found = pd.read_csv(iwae.TABLE).query("estimator == 'A' and k == 1")
    points = sorted(found[found.as_theirs != "nothing"].passes.unique())
    nll = found[found.passes.isin(points)].pivot_table("nll", ["as_theirs", "seed"], "passes")
    parts = ["nothing", *iwae.AS_THEIRS]
    order = sorted(
        nll.index, key=lambda row: (row[0].count(" "), parts.index(row[0].split()[0]), row)
    )
    rows = [
        [
            of.replace(" ", ", "),
            seed,
            *("" if pd.isna(n) else f"{n:.2f}" for n in nll.loc[of, seed]),
        ]
        for of, seed in order
    ]
    return markdown(["as in their code", "seed", *(f"{n:,} passes" for n in points)], rows)


def of_sizes() -> str:
    """The rate of `fit` beside that of its products alone, by size."""
    rows = [
        [datasets.TITLES[row.dataset], f"{row.batch_size:,}", f"{row.hidden:,}", row.latent_dim,
         f"{row.samples_per_second:,}", f"{row.products_alone:,}", f"{row.ratio:.2f}"]
        for row in read("speed/sizes").itertuples()
    ]  # fmt: skip
    return markdown(["data", "M", "hidden", "N_z", "samples/s", "products alone", "ratio"], rows)


def of_host() -> str:
    """Milliseconds per epoch of a model with next to no arithmetic, the median of the turns."""
    found = read("speed/host").groupby("minibatches").median(numeric_only=True)
    rows = [
        [f"{row.Index} minibatches", *(f"{ms:.1f}" for ms in row[1:])] for row in found.itertuples()
    ]
    return markdown(["ms per epoch, by calls of", "the loop alone", "`fit`", "beyond"], rows)


def of_scaling() -> str:
    """Hours that the runs of a preset take, by workers."""
    workers = [name for name in read("speed/scaling") if name.isdigit()]
    rows = [
        [f"`{row.preset}`", row.runs, *(_duration(row[name]) for name in workers)]
        for _, row in read("speed/scaling").iterrows()
    ]
    return markdown(["preset", "runs", "1 core", *(f"{name} cores" for name in workers[1:])], rows)


def _duration(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.0f} min"


def of_claims(rows: Callable) -> str:
    """As `python -m vae_keras claims` prints it."""
    figures = ("fig_lower_bound", "fig_marginal_likelihood")
    return claims.markdown(rows(*(curves(name, "paper") for name in figures)))


def of_nearness() -> str:
    """Ours minus the paper's on the test set, where claims are judged: least to most."""
    rows = {}
    for number, name in ((2, "fig_lower_bound"), (3, "fig_marginal_likelihood")):
        found = paper.differences(curves(name, "paper")).query("split == 'test'")
        found = found[found.samples >= claims.FROM]
        found = found.assign(dataset=pd.Categorical(found.dataset, list(datasets.TITLES)))
        which = [c for c in ("dataset", "latent_dim", "n_train") if c in found]
        for (*key, algorithm), points in found.groupby([*which, "algorithm"], observed=True):
            curve = dict(zip(which, key, strict=True))
            digits = 0 if curve["dataset"] == "frey_face" else 1
            ends = (f"{nats:+.{digits}f}" for nats in points.difference.agg(["min", "max"]))
            row = rows.setdefault(f"figure {number}, {differences.panel(curve)}", {})
            row[algorithm] = " to ".join(dict.fromkeys(ends))
    algorithms = ("aevb", "wake_sleep", "mcem")
    cells = [[title, *(row.get(a, "") for a in algorithms)] for title, row in rows.items()]
    return markdown(
        ["nats, ours minus the paper's", *(style.ALGORITHMS[a] for a in algorithms)], cells
    )


def read(name: str) -> pd.DataFrame:
    """A table of ``benchmarks/``."""
    return pd.read_csv(ROOT / "benchmarks" / f"{name}.csv")


TABLES = {
    f"figure {number}, {budget}, {'last points' if last else 'least and most'}": functools.partial(
        of_figure, name, budget, last
    )
    for number, name in ((2, "fig_lower_bound"), (3, "fig_marginal_likelihood"))
    for budget in ("standard", "paper")
    for last in (True, False)
} | {
    "plateau": of_plateau, "overfitting": of_overfitting, "published": of_published,
    "iwae": of_iwae,
    "iwae_differences": of_iwae_differences,
    "sizes": of_sizes, "host": of_host, "scaling": of_scaling,
    "large training set": of_large_training_set,
    "claims": functools.partial(of_claims, claims.card),
    "agreement": functools.partial(of_claims, claims.agreement), "nearness": of_nearness,
}  # fmt: skip


def written(page: str) -> str:
    """The text of a page with its tables made again, formulas as formulas."""

    def made(found: re.Match) -> str:
        table = re.sub(r"\bN_(train|z)\b|10\^\d", lambda one: f"${one[0]}$", TABLES[found[2]]())
        table = re.sub(
            r"(?<=[ /])[-+]0\.0(?!\d)", "0.0", table.replace("N_train", r"N_\text{train}")
        )
        return f"{found[1]}{table}\n"

    return TABLE.sub(made, page)


if __name__ == "__main__":
    for file in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        file.write_text(written(file.read_text()))
