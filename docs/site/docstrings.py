"""The library's docstrings as reStructuredText for Sphinx, with links from names to their objects.

A docstring is plain text for a reader of the code. Blocks are recognised by their look: an example
that runs, indented code, a heading with indented entries, a table, or else prose.
"""

import importlib
import inspect
import re
from typing import Any

from sphinx.util.inspect import stringify_signature
from sphinx.util.typing import stringify_annotation

import vae_keras
from vae_keras import typing

MODULES = [name for name in vae_keras.__all__ if inspect.ismodule(getattr(vae_keras, name))]
OTHERS = (
    "tensorflow", "tensorflow_probability", "keras", "numpy", "pandas", "collections", "pathlib",
)  # fmt: skip
SHAPES = {  # name -> the type that it stands for
    name: alias for name, alias in vars(typing).items() if hasattr(alias, "__metadata__")
}
KINDS = [name for name, kind in vars(typing).items() if kind in (typing.Decoding, typing.Encoding)]


def _public() -> dict[str, set[str]]:
    """The name of an object in a docstring -> its full names, for all that the modules list."""
    found: dict[str, set[str]] = {}
    for module in MODULES:
        for name in importlib.import_module(f"vae_keras.{module}").__all__:
            for called in (name, f"{module}.{name}", f"vae_keras.{module}.{name}"):
                found.setdefault(called, set()).add(f"vae_keras.{module}.{name}")
    return found


PUBLIC = _public()


def as_rst(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Sphinx's event: change `lines`, a docstring, in place."""
    home = ".".join(name.split(".")[:3])
    blocks = re.split(r"\n\s*\n", "\n".join(lines).strip("\n"))
    text = "\n\n".join(_block(block, home) for block in blocks if block)
    lines[:] = [*text.split("\n"), ""]


def _block(block: str, home: str) -> str:
    first, *rest = block.split("\n")
    if first.startswith((">>>", "===")):
        return block
    if first.startswith("    "):
        return f".. code-block:: python\n\n{block}"
    if rest and first.endswith(":") and all(line.startswith("    ") for line in rest):
        entries = re.split(r"\n {4}(?! )", "\n" + "\n".join(rest))[1:]
        parts = [entry.split(": ", 1) for entry in entries]
        return "\n\n".join(
            [f"**{_prose(first, home)}**"]
            + [f"``{head}``\n    {_prose(' '.join(text.split()), home)}" for head, text in parts]
        )
    return _prose(block, home)


def _prose(text: str, home: str) -> str:
    """Words between backticks are code, or links to what they name; all else is plain text.

    `home` is the full name of the object described, or of its class. A name may be a method of
    that class, an object of the same module, or of another.
    """
    module, _, owner = home.rpartition(".") if home.count(".") > 1 else (home, "", "")
    of_class = getattr(importlib.import_module(module), owner, None)

    def code(found: re.Match) -> str:
        called = found[2]
        named = called.partition("(")[0]
        targets = PUBLIC.get(named, set())
        target = f"{module}.{named}" if f"{module}.{named}" in targets else None
        target = target or (next(iter(targets)) if len(targets) == 1 else None)
        if inspect.isclass(of_class) and is_own(getattr(of_class, named, None)):
            target = f"{home}.{named}"
        # The escaped spaces end the markup where there is no blank, and are not shown.
        return rf"\ :py:obj:`{called} <{target}>`\ " if target else rf"\ ``{called}``\ "

    def plain(text: str) -> str:
        escaped = re.sub(r"([\\*|_`])", r"\\\1", text.replace("->", "→"))
        return re.sub(r"\\\*(\w+)\\\*", r"*\1*", escaped)  # except a word between two stars

    parts = re.split(r"(``[^`]+``|`[^`]+`)", text)
    return "".join(
        re.sub(r"(`+)([^`]+)`+", code, part) if i % 2 else plain(part)
        for i, part in enumerate(parts)
    )


def signature(
    app: Any, what: str, name: str, obj: Any, options: Any, arguments: str, returns: str
) -> tuple[str | None, str | None]:
    """Sphinx's event: show the shapes of `vae_keras.typing` by their names, as in the code.

    Sphinx sees no arguments of a class that Keras makes: they are those of its `__init__`. A
    protocol takes none.
    """

    def named(text: str | None) -> str | None:
        for shape, alias in SHAPES.items():
            spelt = stringify_annotation(alias, "smart")
            text = text.replace(spelt, f"vae_keras.typing.{shape}") if text else text
        return text

    if what == "class" and arguments == "(*args, **kwargs)":
        if getattr(obj, "_is_protocol", False):
            return "", None
        made = inspect.signature(obj.__init__)
        made = made.replace(parameters=list(made.parameters.values())[1:])
        arguments = stringify_signature(
            made, show_return_annotation=False, unqualified_typehints=True
        )
    return named(arguments), named(returns)


def bases(app: Any, name: str, obj: type, options: Any, found: list) -> None:
    """Sphinx's event: replace a private base by the first base above it that is public."""
    found[:] = dict.fromkeys(
        next(c for c in base.__mro__ if not c.__name__.startswith("_")) for base in obj.__bases__
    )


def is_own(member: Any) -> bool:
    """Whether it is described in the library, and not of Keras, TFP or `tuple`."""
    member = getattr(member, "fget", member)
    home = str(getattr(member, "__module__", ""))
    return home.startswith("vae_keras") and bool(getattr(member, "__doc__", ""))


def inherited(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Sphinx's event: skip what a class has from other libraries."""
    return None if is_own(obj) else True
