"""M1 and M2 (Kingma et al. 2014) with 100 labels, for ten draws of the labels.

    .venv/bin/python benchmarks/validation/few_labels.py

The models are those of notebooks/13_few_labels.ipynb: this script runs the cells that define them,
so that there is one definition. M1 is the trained model `aevb-mnist-20d`. For each draw, ten digits
of each kind keep their labels. Writes few_labels.csv: the share of the test digits put into the
wrong class, by the nearest labelled code of M1, by M2 on the codes of M1, and by two networks that
learn from the 100 labelled codes or digits alone.
Needs about three minutes on two free cores.
"""

import common
import nbformat
import numpy as np
import pandas as pd

from vae_keras.reproduction import paths

LESSON = paths.ROOT / "notebooks" / "13_few_labels.ipynb"
CELLS = ("1", "2", "4", "5", "7", "11", "11-trained", "12-alone")  # the data and the models
DRAWS, STEPS = 10, 1500


def lesson() -> dict:
    """The names that the cells of CELLS define; it loads the digits and computes their codes."""
    names: dict = {}
    for cell in nbformat.read(LESSON, as_version=4).cells:
        if cell.cell_type == "code" and cell.id.rpartition("labels-")[2] in CELLS:
            exec(cell.source.replace("%matplotlib inline", ""), names)
    return names


def main(draws: int = DRAWS, steps: int = STEPS) -> None:
    """Write the table; see the module."""
    of = lesson()
    train, test = of["train"], of["test"]
    rows = []
    for seed in range(draws):
        labels = of["data"].y_train
        chosen = of["choose"](labels, seed)
        model = of["trained"](of["partly_labelled"](train, labels, chosen), steps)
        nearest = of["nearest"](test, train[chosen], labels[chosen])
        by_m2 = np.argmax(model.classifier(test), axis=1)
        found = {"M1, nearest code": nearest, "M1 + M2": by_m2}
        for name, (known, new) in of["inputs"].items():
            network = of["alone"](known[chosen], labels[chosen])
            found[f"network, {name} of 100 digits"] = np.argmax(network(new), axis=1)
        for model, digit in found.items():
            wrong = np.mean(digit != of["data"].y_test)
            rows.append({"model": model, "draw": seed, "wrong": round(float(wrong), 4)})
        print(*rows[-len(found) :], flush=True)
    common.write(__file__, pd.DataFrame(rows))


if __name__ == "__main__":
    main()
