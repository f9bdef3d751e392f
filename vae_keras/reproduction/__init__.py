"""The paper's experiments on top of the library: its settings, its curves, its figures.

From the settings of one curve to a figure:

- `settings`, `experiments`: a figure's parameters and runs; an `Experiment`, all that decides one;
- `training`, `measures`: one run, and what is recorded along the way;
- `store`, `checkpoints`: stored runs, and how one that was killed goes on, or further;
- `runs`, `executor`, `worker`, `progress`: many runs at once, here or on a cluster;
- `paper`, `claims`: the curves that the paper itself has, and which of its claims hold;
- `figure_curves`: curves of ours that a figure has;
- `figures`, `style`: what is drawn of them, and in which colours;
- `presets`, `provenance`, `version`: how large, how it came about, by which code;
- `arguments`, `command_line`, `notebooks`, `paths`: ``python -m vae_keras``, and where it keeps
  things.

It needs packages that the library does without: ``pip install "vae-keras[reproduction]"``. Raises
ImportError where one of them is missing.
"""

from importlib.util import find_spec

_NEEDED = (
    "filelock", "matplotlib", "nbformat", "pandas", "papermill", "psutil", "scipy", "seaborn",
    "tqdm", "yaml",
)  # fmt: skip
if _missing := [name for name in _NEEDED if find_spec(name) is None]:
    raise ImportError(
        f"vae_keras.reproduction needs {', '.join(_missing)}, which the library does without: "
        'pip install "vae-keras[reproduction]"'
    )
