"""The paper's experiments on top of the library: its settings, its curves, its figures.

From the settings of one curve to a figure:

- `settings`, `experiments`: the parameters and runs of a figure; the settings of one run;
- `training`, `measures`: the training of one run, and the values recorded during it;
- `store`: stored runs, which can be resumed and extended;
- `runs`, `executor`, `worker`, `progress`: many runs in parallel, on this machine or a cluster;
- `paper`, `claims`: the paper's own curves, and which of its claims hold;
- `figure_curves`: our curves, read from figures drawn earlier;
- `figures`, `style`: the plots and their style;
- `presets`, `provenance`, `version`: sizes of runs, how a figure was made, and by which code;
- `arguments`, `command_line`, `notebooks`, `paths`: ``python -m vae_keras`` and its folders.

It needs packages that the library does not: ``pip install "vae-keras[reproduction]"``. Raises
ImportError if one of them is missing.
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
