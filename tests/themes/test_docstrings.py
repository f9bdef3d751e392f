"""The docstrings of the public surface: each has an example, which runs; nothing lacks a type.

An example imports all that it needs, the object that it documents too: a reader can paste it.
"""

import doctest
import importlib.resources
import inspect
import re
import types
import typing

import pytest

from vae_keras import VAE, FullVB, MonteCarloEM, WakeSleep, families, layers
from vae_keras.models import AutoEncoder, LatentVariableModel, Trainer

MODULES = [
    "bounds", "marginal_likelihood", "mcmc", "layers", "networks", "pixels", "priors", "families",
    "traversals",
]  # fmt: skip
EVERY_MODULE = [*MODULES, "callbacks", "datasets", "distributions", "models"]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
BASES = [
    Trainer, LatentVariableModel, AutoEncoder, layers.DistributionLayer, families._Positive,
]  # fmt: skip
HEADINGS = ["A subclass must implement:", "It may override:", "It inherits:"]


def public(module):
    """The functions and classes that `module` lists in `__all__`."""
    return [
        obj
        for name in module.__all__
        if inspect.isfunction(obj := getattr(module, name)) or inspect.isclass(obj)
    ]


def module_of(name):
    return importlib.import_module(f"vae_keras.{name}")


OBJECTS = [
    *(obj for name in MODULES for obj in public(module_of(name))), AutoEncoder, VAE, FullVB,
    MonteCarloEM, WakeSleep, VAE.fit, VAE.save, VAE.evaluate, VAE.encode, VAE.decode, VAE.elbo,
    VAE.reconstruct, VAE.sample,
]  # fmt: skip
EVERY_OBJECT = [obj for name in EVERY_MODULE for obj in public(module_of(name))]


def example_of(obj, known):
    parser, name = doctest.DocTestParser(), obj.__name__
    known = known | {"__name__": "__main__"}
    return parser.get_doctest(inspect.getdoc(obj) or "", known, name, None, 0)


def run_example(obj, **known):
    """What doctest says of an example that fails, "" of one that does what it says."""
    example, said = example_of(obj, known), []
    assert example.examples, f"{obj.__name__} has no example"
    doctest.DocTestRunner(optionflags=FLAGS).run(example, out=said.append)
    return "".join(said)


def callables_of(obj):
    """`obj`, or `__init__`, `__call__` and the public methods that the class `obj` itself has."""
    if inspect.isfunction(obj):
        return [obj]
    kept = {n: m for n, m in vars(obj).items() if n[0] != "_" or n in ("__init__", "__call__")}
    found = [
        m.fget if isinstance(m, property) else getattr(m, "__func__", m) for m in kept.values()
    ]
    return [m for m in found if inspect.isfunction(m) and m.__module__ == obj.__module__]


def unannotated(obj):
    """What has no type: parameters and results of `obj`, or of the methods of the class `obj`."""
    missing = []
    for function in callables_of(obj):
        hints = typing.get_type_hints(function)
        signature = inspect.signature(function)
        names = list(signature.parameters)
        if "." in function.__qualname__:  # self or cls
            names = names[1:]
        if function.__name__ != "__init__":
            names.append("return")
        missing += [f"{function.__qualname__}: {name}" for name in names if name not in hints]
    return missing


@pytest.mark.parametrize("obj", OBJECTS, ids=lambda obj: f"{obj.__module__}.{obj.__qualname__}")
def test_its_example_does_what_it_says(obj):
    assert run_example(obj) == ""


@pytest.mark.parametrize("obj", EVERY_OBJECT, ids=lambda obj: f"{obj.__module__}.{obj.__name__}")
def test_it_is_annotated_whole(obj):
    assert unannotated(obj) == []


@pytest.mark.parametrize("name", EVERY_MODULE)
def test_what_a_module_lists_is_there_once_and_with_a_docstring(name):
    module = module_of(name)
    assert len(set(module.__all__)) == len(module.__all__)
    for one in module.__all__:
        assert not one.startswith("_")
        obj = getattr(module, one)  # or it is not there
        if inspect.isfunction(obj) or inspect.isclass(obj):
            assert obj.__doc__, f"{name}.{one} has no docstring"
            assert obj.__module__.startswith(module.__name__), f"{name}.{one} is another module's"


@pytest.mark.parametrize("name", EVERY_MODULE[:-1])
def test_what_is_not_public_is_used_by_the_package_or_begins_with_an_underscore(name):
    module = module_of(name)
    defined = re.findall(
        r"^(?:def|class) (\w+)|^(\w+)(?:: .*)? = ", inspect.getsource(module), re.M
    )
    names = {one or other for one, other in defined} - set(module.__all__)
    package = importlib.resources.files("vae_keras")
    others = [file for file in package.rglob("*.py") if file.name != f"{name}.py"]
    text = "\n".join(file.read_text() for file in others)
    unused = [n for n in names if n[0] != "_" and not re.search(rf"\b{n}\b", text)]
    assert unused == []


# ------------------------------------------------------------------- the contracts of the bases


def contract(cls):
    """The names under each of the three headings in the docstring of `cls`."""
    doc = inspect.getdoc(cls)
    places = [doc.index(heading) for heading in HEADINGS]
    assert places == sorted(places), f"{cls.__name__} has them in another order"
    ends = [*places[1:], len(doc)]
    found = []
    for start, end in zip(places, ends, strict=True):
        paragraph = doc[start:end].split("\n\n")[0]
        lines = re.findall(r"^ {4}(\S[^:]*):", paragraph, re.M)
        names = [re.sub(r"\(.*?\)", "", line).split(", ") for line in lines]
        found.append([name for line in names for name in line if name.isidentifier()])
    return found


@pytest.mark.parametrize("cls", BASES, ids=lambda cls: cls.__name__)
def test_a_base_class_states_its_contract(cls):
    must, may, inherited = contract(cls)
    assert must
    assert may
    assert inherited
    source = inspect.getsource(cls)
    for name in [*may, *inherited]:
        if name == "_cdf":  # TFP asks whether a family has it
            continue
        assert hasattr(cls, name) or f"self.{name} = " in source, f"{cls.__name__} has no {name}"


def test_an_algorithm_is_one_method():
    assert contract(AutoEncoder)[0] == ["train_step"]
    assert "train_step" not in vars(AutoEncoder)


# ---------------------------------------------------------------- these tests are able to fail


def bare(x, y: int) -> int:
    """No example."""


def wrong(x: int) -> int:
    """Says what it does not do.

    >>> wrong(1)
    2
    """
    return x


class Half:
    """Half annotated.

    >>> Half().value
    1.0000000
    """

    value = 1.0

    def __init__(self, a=1):
        pass

    def method(self, b: int):
        pass

    @classmethod
    def make(cls, c) -> "Half":
        return cls()


def test_these_tests_are_able_to_fail():
    with pytest.raises(AssertionError, match="bare has no example"):
        run_example(bare)
    assert "Expected:\n    2\nGot:\n    1" in run_example(wrong, wrong=wrong)
    assert "Got:\n    1.0" in run_example(Half, Half=Half)
    assert "NameError: name 'Half' is not defined" in run_example(Half)  # it does not import it
    assert unannotated(bare) == ["bare: x"]
    assert unannotated(Half) == ["Half.__init__: a", "Half.method: return", "Half.make: c"]
    module = types.SimpleNamespace(__all__=["bare", "Half", "n"], bare=bare, Half=Half, n=1)
    assert public(module) == [bare, Half]
