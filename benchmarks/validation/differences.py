"""The tables of docs/differences.md, in Markdown: a figure's curves against the paper's own points.

python benchmarks/validation/differences.py figures/standard/fig_lower_bound.csv
python benchmarks/validation/differences.py figures/standard/fig_marginal_likelihood.csv
python benchmarks/validation/differences.py figures/paper/fig_lower_bound.csv --begin 10000000

The first table is for the last point of each curve that the paper plotted and at which ours was
measured. The second has the least and the most over all such points from 7 x 10^5 samples on, on
Frey Face from the curve's second point on, in figure 3 from 2 x 10^6 on, or from `--begin` on.
"""

import argparse

import pandas as pd

from vae_keras import datasets
from vae_keras.reproduction import claims, paper, style

SPLITS = {"test": "test", "running": "running mean", "train": "training set"}
FROM = {2: 7 * 10**5, 3: 2 * 10**6}  # training samples, by figure


def nats(value: float, digits: int, sign: str = "") -> str:
    """The number as on the page; empty if there is none, as the spread of one seed."""
    return "" if pd.isna(value) else f"{value:{sign}.{digits}f}"


def panel(curve: dict) -> str:
    """The panel of a row."""
    if "n_train" in curve:
        return f"N_train = {curve['n_train']:,}"
    return f"{datasets.TITLES[curve['dataset']]}, N_z = {curve['latent_dim']}"


def of_curve(points: pd.DataFrame, last: bool, digits: int) -> list[str]:
    """The cells for one split of a curve."""
    end = points.iloc[-1]
    if not last:
        begin, least, most = points.samples.min(), points.difference.min(), points.difference.max()
        return [f"{begin:,}, {end.samples:,}", nats(least, digits, "+"), nats(most, digits, "+")]
    values = [nats(end[name], digits) for name in ("here", "spread", "paper")]
    return [f"{end.samples:,}", *values, nats(end.difference, digits, "+")]


def table(found: pd.DataFrame, last: bool, begin: int | None = None) -> str:
    """One row per panel and algorithm, with the columns of `of_curve` for each split."""
    figure = 3 if "n_train" in found else 2
    found = found if "spread" in found else found.assign(spread=float("nan"))
    splits = [split for split in SPLITS if split in set(found.split)]
    columns = ["samples", "here", "spread", "the paper", "difference"]
    columns = columns if last else ["from, to", "least", "most"]
    heads = [f"{SPLITS[s]}: {c}" if c == columns[0] else c for s in splits for c in columns]
    rows = []
    names = [c for c in ("dataset", "latent_dim", "n_train") if c in found]
    for name, known in (("dataset", datasets.TITLES), ("algorithm", style.ALGORITHMS)):
        found = found.assign(**{name: pd.Categorical(found[name], list(known))})  # in that order
    for (*which, algorithm), curves in found.groupby([*names, "algorithm"], observed=True):
        curve = dict(zip(names, which, strict=True))
        cells = [panel(curve), style.ALGORITHMS[algorithm]]
        for split in splits:
            points = curves[curves.split == split]
            if not last:
                faces = curve["dataset"] == "frey_face" and not begin
                points = points[1:] if faces else points[points.samples >= (begin or FROM[figure])]
            if points.empty:
                cells += [""] * len(columns)
            else:
                cells += of_curve(points, last, 0 if curve["dataset"] == "frey_face" else 1)
        rows.append(cells)
    made = pd.DataFrame(rows, columns=["panel", "", *heads])
    return claims.markdown(made.loc[:, (made != "").any()])  # of one seed there is no spread


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("curves", help="the CSV of figure 2 or 3")
    parser.add_argument("--begin", type=int, help="in training samples, of the second table")
    asked = parser.parse_args()
    found = paper.differences(pd.read_csv(asked.curves))
    print(f"{table(found, last=True)}\n\n{table(found, last=False, begin=asked.begin)}")


if __name__ == "__main__":
    main()
