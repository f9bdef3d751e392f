"""The library's docstrings as reStructuredText for Sphinx, with links from names to their objects.

A docstring is plain text for a reader of the code. Blocks are recognised by their look: an example
that runs, indented code, an indented formula, a heading with indented entries, a table, or else
prose.
"""

import ast
import importlib
import inspect
import itertools
import json
import re
import textwrap
from collections.abc import Callable
from typing import Any

from numpy.typing import ArrayLike
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.inspect import stringify_signature
from sphinx.util.typing import stringify_annotation

import vae_keras
from vae_keras import typing
from vae_keras.layers import keras  # `import keras` first would let TensorFlow print

MODULES = [name for name in vae_keras.__all__ if inspect.ismodule(getattr(vae_keras, name))]
OTHERS = (
    "tensorflow", "tensorflow_probability", "keras", "numpy", "pandas", "collections", "pathlib",
)  # fmt: skip
SHAPES = {  # name -> the type that it stands for
    name: alias for name, alias in vars(typing).items() if hasattr(alias, "__metadata__")
}
# What Sphinx spells out -> its name in the code.
SPELT = {
    stringify_annotation(one, "smart"): f"vae_keras.typing.{name}" for name, one in SHAPES.items()
}
SPELT[stringify_annotation(ArrayLike, "smart")] = "~numpy.typing.ArrayLike"
KINDS = [name for name, kind in vars(typing).items() if kind in (typing.Decoding, typing.Encoding)]

# The words of a formula: those that LaTeX has commands for, and those that it sets upright.
SYMBOLS = "log|exp|tanh|sum|min|theta|phi|mu|sigma|zeta|epsilon|pi"
OPERATORS = "KL|mean|diag|elbo|kl|reconstruction|head|sigmoid|softmax|softplus|logits|low|high|loss"

# A formula within a sentence: terms such as log p(x|z), N(0, I), E_q[f(z)], w/2 |theta|^2 and z_k,
# side by side or with signs between them. A single letter is a symbol, but not those that are
# words or name estimators and appendices.
_INSIDE = r"\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)"
_TERM = "|".join(
    [
        r"E(?:_\w(?:\w?\([^()]*\))*)?\[[^]]*\]",
        r"\|\w+\|\^2",
        rf"(?:exp|log|sigmoid|softplus|min|diag|KL|N|B){_INSIDE}",
        r"\(\w+ [-+/] \w+(?:\([^()]*\))?\)(?:\^\w)?",
        rf"(?:theta|phi|mu|sigma|zeta|epsilon|low|high|a(?= =|\()|[b-zHKLMNSW])"
        rf"(?:_\w\b)?(?:'(?!s))?(?:{_INSIDE})?(?:\^\w)?(?:{_INSIDE})?",
    ]
)
_FACTOR = rf"(?:log |grad |diag )*(?:{_TERM})"
_FACTORS = rf"(?:-?\d+(?:\.\d+)?|-?{_FACTOR})(?: {_FACTOR})*"
_SIGN = r"(?: (?:[-+=/<>]|<=|>=|\|\|) |/)"
_FOUND = rf"(?<![\w.'\"-]){_FACTORS}(?:{_SIGN}(?:a )?{_FACTORS})*(?![\w(^-]|\.\w| \d)"
FORMULA = _FOUND.replace(" ", r"\s+")  # a line may end within one
_SIZE = r"[\w*.:[\]-]+(?: \* \w+)?"
SHAPE = (  # (M, *input) and the like, which are set as code
    rf"(?<!\w)\((?:\*\w+|\d,|(?=[^()]*[A-Za-z])(?:{_SIZE},\s?)+(?:{_SIZE})?)\)"
)

# The members of models and layers by group, in the order of their pages; all others are
# "For subclasses".
FIRST = "Methods and properties"
MEMBERS = {
    FIRST: (
        "compile", "fit", "evaluate", "predict", "save", "export",
        "encode", "decode", "prior", "elbo", "reconstruct", "sample", "q_theta", "now",
        "params_size", "event_shape",
    ),
    "Less often needed": (
        "score", "estimator", "examples_seen", "samples_evaluated", "set_evaluation_noise",
        "forget_programs",
    ),
    "As in Keras": (
        "train_on_batch", "test_on_batch", "predict_on_batch", "make_train_function",
        "reset_metrics", "get_config", "from_config", "build_from_config", "get_compile_config",
        "compile_from_config", "compute_output_spec",
    ),
}  # fmt: skip


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
    if what in ("method", "property"):
        owner, member = name.split(".")[-2:]
        blocks = [_of_another(block, owner, member) for block in blocks]
    text = "\n\n".join(_block(block, home) for block in blocks if block)
    lines[:] = [*text.split("\n"), ""]


def _of_another(block: str, owner: str, member: str) -> str:
    """An example that a model inherits and that is of a `VAE`: where it stands; or the block."""
    if block.startswith(">>>") and "VAE(" in block and owner not in ("VAE", *block.split()):
        return f"Example: `VAE.{member}()`."
    return block


def _block(block: str, home: str) -> str:
    first, *rest = block.split("\n")
    if first.startswith((">>>", "===")):
        return block
    if first.startswith("    "):
        return f".. code-block:: python\n\n{block}" if _is_code(block) else _formula(block)
    if first == "Returns:":
        return f"**Returns:** {_prose(' '.join(map(str.strip, rest)), home)}"
    if rest and first.endswith(":") and all(line.startswith("    ") for line in rest):
        entries = re.split(r"\n {4}(?! )", "\n" + "\n".join(rest))[1:]
        parts = [entry.split(": ", 1) for entry in entries]
        return "\n\n".join(
            [f"**{_prose(first, home)}**"]
            + [f"``{head}``\n    {_prose(' '.join(text.split()), home)}" for head, text in parts]
        )
    return _prose(block, home)


def _is_code(block: str) -> bool:
    """Whether an indented block is Python; if not, it is a formula."""
    try:
        ast.parse(textwrap.dedent(block))
    except SyntaxError:
        return False
    return True


def _formula(block: str) -> str:
    """Formulas in plain characters, one a line, as LaTeX."""
    lines = list(map(_tex, block.strip("\n").split("\n")))
    if len(lines) > 1:  # one below the other, by their first "="
        lines = [text.replace("=", "&=", 1) for text in lines]
    return ".. math::\n\n   " + " \\\\\n   ".join(lines)


def _tex(text: str) -> str:
    """A formula in plain characters, E_q(z|x)[log p(x|z)] for example, as LaTeX."""
    text = re.sub(r"E_((?:\w+\([^()]*\))+)\[", r"E_{\1}[", " ".join(text.split()))
    text = re.sub(r"\^(-?\([^()]*\))", r"^{\1}", text)
    text = re.sub(r"\bN\(", r"\\mathcal{N}(", text)
    text = text.replace("||", r"\,\Vert\,").replace("<=", r"\le ").replace(">=", r"\ge ")
    text = re.sub(rf"(?<![\\\w])({SYMBOLS})(?![a-z])", r"\\\1 ", text)
    text = re.sub(rf"(?<![\\\w])({OPERATORS})(?![a-z])", r"\\operatorname{\1}", text)
    text = re.sub(r"(?<![\\\w])grad(?![a-z])", r"\\nabla ", text)
    return re.sub(r" (maximises) ", r"\\text{ \1 }", text).strip()


def _typeset(text: str, formula: Callable, shape: Callable, plain: Callable) -> str:
    """`text` without code, its parts changed by three functions: formulas, shapes, and the rest."""
    words = r"[-\d./ ]+|low|high"  # not formulas, if alone
    parts = re.split(f"({FORMULA})|({SHAPE})", text)
    changed = []
    for rest, found, sizes in itertools.zip_longest(parts[::3], parts[1::3], parts[2::3]):
        changed.append(plain(rest))
        if found:
            changed.append(plain(found) if re.fullmatch(words, found) else formula(_tex(found)))
        changed.append(shape(sizes) if sizes else "")
    return "".join(changed)


def as_markdown(text: str) -> str:
    """A line of a docstring as Markdown, for the cell of a table too."""

    def typeset(part: str) -> str:
        return _typeset(
            part,
            lambda tex: "$" + tex.replace("|", r"\vert ") + "$",
            "`{}`".format,
            lambda rest: rest.replace("|", r"\|"),
        )

    parts = re.split(r"(`+[^`]+`+)", text)
    return "".join(part if i % 2 else typeset(part) for i, part in enumerate(parts))


def _prose(text: str, home: str) -> str:
    """Words between backticks are code, or links to what they name; formulas are typeset.

    `home` is the full name of the object described, or of its class. A name may be an object of
    the same module, or of another. A name with parentheses may be a method of that class, or of
    another, `Trainer.fit()`; without them it is an argument or a metric of the same name.
    """
    module = home.rpartition(".")[0] if home.count(".") > 1 else home

    def code(found: re.Match) -> str:
        called = found[2]
        named = called.partition("(")[0]
        targets = PUBLIC.get(named, set())
        target = f"{module}.{named}" if f"{module}.{named}" in targets else None
        target = target or (next(iter(targets)) if len(targets) == 1 else None)
        if "(" in called:
            holder, _, method = named.rpartition(".")
            holders = PUBLIC.get(holder, set()) if holder else {home}
            (holder, *_) = *holders, home
            target = described_at(holder, method) or target
        # The escaped spaces end the markup where there is no blank, and are not shown.
        return rf"\ :py:obj:`{called} <{target}>`\ " if target else rf"\ ``{called}``\ "

    def plain(text: str) -> str:
        escaped = re.sub(r"([\\*|_`])", r"\\\1", text.replace("->", "→"))
        return re.sub(r"\\\*(\w+)\\\*", r"*\1*", escaped)  # except a word between two stars

    def typeset(text: str) -> str:
        return _typeset(text, r"\ :math:`{}`\ ".format, r"\ ``{}``\ ".format, plain)

    parts = re.split(r"(``[^`]+``|`[^`]+`)", text)
    return "".join(
        re.sub(r"(`+)([^`]+)`+", code, part) if i % 2 else typeset(part)
        for i, part in enumerate(parts)
    )


def linked(markdown: str) -> str:
    """Markdown whose words between backticks link to what they name, where they first do.

    `layers.Bernoulli` does, and `VAE` and `compare(vae, x)`; not in headings, links and code.
    """
    done = set()

    def link(found: re.Match) -> str:
        name = found[1].removeprefix("vae_keras.")
        targets = (
            PUBLIC.get(name, set()) if not name.islower() or found[2] or "." in name else set()
        )
        if len(targets) != 1 or targets & done:
            return found[0]
        done.update(targets)
        return f"{{py:obj}}{found[0][:-1]} <{next(iter(targets))}>`"

    kept = r"(^```.*?^```$|^#.*?$|\[[^\]]*\]\([^)]*\)|\$[^$\n]*\$)"
    parts = re.split(kept, markdown, flags=re.MULTILINE | re.DOTALL)
    parts[::2] = [re.sub(r"(?<!`)`([\w.]+)(\([^`\n]*\))?`(?!`)", link, part) for part in parts[::2]]
    return "".join(parts)


def _object(full: str) -> Any:
    """The class or function of that full name; None for a module."""
    module, _, name = full.rpartition(".")
    return getattr(importlib.import_module(module), name) if full.count(".") > 1 else None


def signature(
    app: Any, what: str, name: str, obj: Any, options: Any, arguments: str, returns: str
) -> tuple[str | None, str | None]:
    """Sphinx's event: show the shapes of `vae_keras.typing` by their names, as in the code.

    Sphinx sees no arguments of a class that Keras makes: they are those of its `__init__`. A
    protocol takes none.
    """

    def named(text: str | None) -> str | None:
        for spelt, name in SPELT.items():
            text = text.replace(spelt, name) if text else text
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
    member = getattr(member, "fget", getattr(member, "__func__", member))
    home = str(getattr(member, "__module__", ""))
    return home.startswith("vae_keras") and bool(getattr(member, "__doc__", ""))


def inherited(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Sphinx's event: skip what a class has from other libraries."""
    return None if is_own(obj) else True


def is_defined_in(cls: type, name: str) -> bool:
    """Whether `cls` itself has the member and describes it."""
    return name in vars(cls) and is_own(vars(cls)[name])


def described_at(full: str, name: str) -> str | None:
    """The full name under which the site describes member `name` of the class `full`, if it does.

    The page of a model or a layer has what it inherits only if it is for use.
    """
    bases = getattr(_object(full), "__mro__", ())
    home = next((base for base in bases if is_defined_in(base, name)), None)
    group = next((title for title, names in MEMBERS.items() if name in names), None)
    if home is None or group == "As in Keras":
        return None
    if group or keras.Layer not in bases:
        return f"{full}.{name}"
    public = PUBLIC.get(f"{home.__module__.split('.')[1]}.{home.__name__}", ())
    return next((f"{one}.{name}" for one in public), None)


def module_of(app: Any, module: str, name: str) -> str | None:
    """Sphinx's event: the module with the source of a property; Sphinx finds that of all else."""
    owner, _, member = name.partition(".")
    value = getattr(getattr(importlib.import_module(module), owner), member, None)
    return value.fget.__module__ if isinstance(value, property) else None


def source_of(app: Any, module: str) -> tuple[str, dict]:
    """Sphinx's event: a module's code, and the lines of its objects under inherited names too."""
    analyzer = ModuleAnalyzer.for_module(module)
    tags = dict(analyzer.find_tags())
    for cls in map(_object, {full for fulls in PUBLIC.values() for full in fulls}):
        for base in getattr(cls, "__mro__", ()):
            for name in vars(base) if base.__module__ == module else ():
                if f"{base.__name__}.{name}" in tags:
                    tags.setdefault(f"{cls.__name__}.{name}", tags[f"{base.__name__}.{name}"])
    return analyzer.code, tags


def found_once(app: Any, env: Any) -> None:
    """Sphinx's event: let a search find a method where it is defined, not where inherited."""
    objects = env.get_domain("py").objects
    for full, entry in objects.items():
        home, _, name = full.rpartition(".")
        if entry.objtype in ("method", "property") and not is_defined_in(_object(home), name):
            objects[full] = entry._replace(aliased=True)  # linked to, but not searched


def search_page(app: Any, pagename: str, template: str, context: Any, doctree: Any) -> None:
    """Sphinx's event: tell the search what the library has, by full name.

    For each object: its page, its anchor there, whether it is inherited, and its kind. A class has
    a second name, by the module of its source, which is left out.
    """
    if pagename == "search":
        objects = app.env.get_domain("py").objects
        known = {
            full: (entry.docname, entry.node_id, entry.aliased, entry.objtype)
            for full, entry in objects.items()
            if not entry.aliased or entry.objtype in ("method", "property")
        }
        app.add_js_file(None, body=f"const OBJECTS = {json.dumps(known)};")
        app.add_js_file("search.js")
