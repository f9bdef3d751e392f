"""Shared by the validations: the table that a script has found, and how it was made."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from vae_keras.reproduction import provenance


def write(script: str, table: pd.DataFrame, **about: Any) -> None:
    """Print `table` and write it beside `script`, as its CSV; given `about`, also its JSON."""
    file = Path(script)
    print(table.to_string(index=False))
    table.to_csv(file.with_suffix(".csv"), index=False)
    if about:
        command = f"python benchmarks/validation/{file.name}"
        made = {"command": command, "device": provenance.device(), **about}
        made["commit"] = provenance.commit()
        file.with_suffix(".json").write_text(json.dumps(made, indent=2) + "\n")
