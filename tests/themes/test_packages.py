"""Two packages, imports that run one way, a test file a module, a wheel that is whole."""

import ast
import email
import graphlib
import importlib.util
import subprocess
import sys
import zipfile

import pytest

from vae_keras import reproduction
from vae_keras.reproduction import paths

ROOT = paths.ROOT
MODULES = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts): file
    for file in sorted((ROOT / "vae_keras").rglob("*.py"))
    if not file.stem.startswith("__")
}


def imports(file):
    """The modules of the project that a file imports, anywhere in its text."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found & set(MODULES)


IMPORTS = {name: imports(file) for name, file in MODULES.items()}


def test_the_library_knows_nothing_of_the_reproduction():
    assert "vae_keras.models.vae" in IMPORTS["vae_keras.reproduction.experiments"]  # they are seen
    for name, targets in IMPORTS.items():
        if ".reproduction." not in name:
            assert not {target for target in targets if ".reproduction." in target}, name
    package = (ROOT / "vae_keras" / "__init__.py").read_text()
    assert "import reproduction" not in package
    assert "reproduction import" not in package


def test_no_imports_form_a_circle():
    graphlib.TopologicalSorter(IMPORTS).prepare()  # raises CycleError
    with pytest.raises(graphlib.CycleError, match="nodes are in a cycle"):
        graphlib.TopologicalSorter(
            IMPORTS | {"vae_keras.typing": {"vae_keras.models.vae"}}
        ).prepare()


@pytest.mark.parametrize("module", MODULES)
def test_each_module_has_its_tests(module):
    *folders, name = module.split(".")[1:]
    file = ROOT.joinpath("tests", *folders, f"test_{name.removeprefix('_')}.py")
    assert file.exists() or module == "vae_keras.typing", f"{file} is missing"


@pytest.mark.long
def test_the_wheel_is_whole(tmp_path):
    """Built, it has each file of the package; the library's own packages suffice to import it."""
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    source = tmp_path / "source"
    files = subprocess.run(
        ["git", "ls-files", "vae_keras"], cwd=ROOT, capture_output=True, text=True
    )
    names = files.stdout.split()
    for name in (*names, "pyproject.toml", "README.md", "LICENSE"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run([*command, "-w", tmp_path, source], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert set(names) <= set(archive.namelist())
        (about,) = (name for name in archive.namelist() if name.endswith("METADATA"))
        metadata = email.message_from_bytes(archive.read(about))
    needed = [line for line in metadata.get_all("Requires-Dist") if "extra" not in line]
    extras = ("scipy", "pandas", "tqdm", "seaborn", "filelock", "papermill", "jupyterlab", "pytest")
    for name in extras:
        assert not any(line.startswith(name) for line in needed), name
        assert any(line.startswith(name) for line in metadata.get_all("Requires-Dist")), name
    # The library from the wheel, where what only extras bring cannot be imported.
    code = f"""
import sys
sys.path.insert(0, {str(wheel)!r})
for name in (*{extras}, "yaml", "nbformat", "matplotlib"):
    sys.modules[name] = None
import vae_keras
assert {str(wheel)!r} in vae_keras.__file__, vae_keras.__file__
vae = vae_keras.VAE(
    vae_keras.networks.gaussian_encoder(784, 5, 2), vae_keras.networks.bernoulli_decoder(2, 5, 784)
)
vae.compile()
x = vae_keras.datasets.load("mnist_5k").x_train[:200]
vae.fit(x, verbose=0)
assert len(vae_keras.marginal_likelihood.importance_sampling(vae, x[:5], 10)[0]) == 5
assert "vae_keras.reproduction" not in sys.modules
print(vae.sample(1).shape)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.strip() == "(1, 784)", done.stderr


def test_the_reproduction_says_what_it_needs(monkeypatch):
    missing = ("seaborn", "yaml")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name not in missing or None)
    said = r'needs seaborn, yaml, which .*pip install "vae-keras\[reproduction\]"'
    with pytest.raises(ImportError, match=f"^vae_keras.reproduction {said}$"):
        importlib.reload(reproduction)
