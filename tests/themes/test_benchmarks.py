"""What the benchmarks count with; they themselves are run by hand."""

import numpy as np
import pytest
from oracles.scripts import load


def test_tasks_go_to_whoever_is_free_the_longest_first():
    makespan = load("benchmarks/scaling.py").makespan
    lengths = [3.0, 5.0, 2.0, 2.0]
    assert makespan(lengths, 1) == 12
    assert makespan(lengths, 2) == 7  # 5 + 2 beside 3 + 2
    assert makespan(lengths, 3) == 5  # 2 + 2 beside 3 and 5
    assert makespan(lengths, 64) == 5


def test_the_products_of_a_step_are_those_of_two_networks():
    """Forward and back: three products a layer, but none for the gradient of the data."""
    module = load("benchmarks/matrix_products.py")
    weights = 784 * 500 + 500 * 40 + 20 * 500 + 500 * 784
    assert module.operations(100, 784, 500, 20) == 2 * 100 * (3 * weights - 784 * 500)
    for a, b in module.products(7, 5, 4, 3, 2):
        assert np.isfinite(a @ b).all()


@pytest.mark.parametrize("rate", ["numpy_rate", "products_rate"])
def test_a_rate_is_of_samples_a_second(rate, monkeypatch):
    """On a clock by which each step takes a millisecond."""
    module = load("benchmarks/matrix_products.py")
    steps = []
    monkeypatch.setattr(module, "_rate", lambda step, batch: steps.append(step) or (step(3), batch))
    assert getattr(module, rate)(8, 5, 4, 3)[1] == 8
