"""What the models use of Keras that is not its API, and that another Keras may not have."""

import ast
import inspect

import keras
import pytest

from vae_keras.reproduction import paths

FIT, STEP = keras.Model.fit, keras.Model.make_train_function
HOOKS = {  # name -> where Keras has it, and what hangs on it
    "_make_function": (STEP, "that counters stand still at a stream's end"),
    "_get_metrics_result_or_logs": (FIT, "that metrics are read once an epoch"),
    "_maybe_symbolic_build": (FIT, "that no first minibatch is averaged over devices"),
    "_use_cached_eval_dataset": (FIT, "that `evaluate` knows the validation of `fit`"),
    "_distribute_strategy": (keras.Model, "the scope in which a model was made"),
    "_flatten_layers": (keras.Model, "which layers a compiled program reads"),
    "_tracker": (keras.Model, "that a subclass of a built model may add layers"),
}


@pytest.mark.parametrize("hook", HOOKS)
def test_the_installed_keras_has_the_hook(hook):
    where, what = HOOKS[hook]
    if where is keras.Model:
        there = hasattr(where(name="none"), hook)
    else:  # a name that Keras no longer calls is as good as gone
        there = hook in inspect.getsource(where)
    assert there, (
        f"Keras {keras.__version__} no longer has {hook}, on which hangs {what}: find what took "
        "its place, or lower the upper bound of keras in pyproject.toml"
    )


def test_these_are_all():
    library = paths.ROOT / "vae_keras"
    files = [*library.glob("*.py"), *library.glob("models/*.py")]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
    used = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    used |= {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    private = {name for name in dir(keras.Model(name="none")) if name[0] == "_" != name[1]}
    assert used & private == HOOKS.keys() - {"_use_cached_eval_dataset"}
