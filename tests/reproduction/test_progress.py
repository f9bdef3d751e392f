"""What one sees while runs are trained."""

import types

import pytest

from vae_keras.reproduction import progress
from vae_keras.reproduction.experiments import Experiment
from vae_keras.reproduction.progress import Board


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves on."""
    clock = types.SimpleNamespace(now=100.0)
    monkeypatch.setattr(progress.time, "perf_counter", lambda: clock.now)
    return clock


RUNS = {f"run{k}": Experiment("mnist", 20, 1_000_000, seed=k) for k in range(16)}


def tell(board, key, samples, nats=-120.25):
    board.update(
        {"key": key, "samples": samples, "of": 1_000_000, "objective": "elbo", "nats": nats}
    )


def test_a_line_a_run_and_one_for_the_whole(clock):
    board = Board(RUNS, {"run0": 100_000})
    tell(board, "run0", 100_000)  # it went on from a checkpoint
    clock.now += 10
    tell(board, "run0", 400_000)
    tell(board, "run1", 0)
    whole, first, second = board.lines()
    assert whole.startswith("0 of 16 runs, 2%, 30,000 samples/s, about ")
    assert first == (
        "  aevb mnist N_z=20: 400,000 of 1,000,000 samples, 30,000/s, bound -120.2 nats, "
        "0 min 20 s left"
    )
    assert second.endswith("seed 1: 0 of 1,000,000 samples, bound -120.2 nats")
    board.ended("run0", True)
    board.ended("run1", False)  # its process died
    (whole,) = board.lines()
    assert whole.startswith("1 of 16 runs, 6%")


def test_the_time_left_is_by_the_pace_of_training_and_not_of_what_comes_before(clock):
    """Starting and compiling took a minute, of which nothing follows."""
    board = Board({"run0": RUNS["run0"], "run1": RUNS["run1"]}, {"run0": 500_000})
    assert board.lines() == ["0 of 2 runs, 25%, starting TensorFlow and compiling"]
    clock.now += 60
    tell(board, "run0", 510_000)
    clock.now += 1
    tell(board, "run0", 600_000)
    assert board.lines()[0] == "0 of 2 runs, 30%"  # a second is too short to tell
    clock.now += 9
    tell(board, "run0", 1_010_000 - 1)  # a little further than was asked
    whole, _ = board.lines()
    assert whole == "0 of 2 runs, 50%, 50,000 samples/s, about 0 min 20 s left"
    clock.now += 5
    assert board.lines()[1].endswith("samples, measuring")
    board.ended("run0", True)
    assert board.lines() == ["1 of 2 runs, 50%, starting TensorFlow and compiling"]


def test_sixteen_runs_can_be_read_in_a_log(clock, capsys, monkeypatch):
    monkeypatch.setitem(progress.EVERY_S, "log", 0.05)
    with Board(RUNS, {}) as board:
        for key in RUNS:
            tell(board, key, 500_000)
        board._closed.wait(0.3)
        for key in RUNS:
            board.ended(key, True)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("0 of 16 runs, 50%")
    assert len({line for line in lines if line.startswith("  aevb mnist")}) == 16
    assert all(len(line) <= 120 for line in lines)
    assert lines[-1] == "16 of 16 runs trained in 0 min 00 s"


def test_long_times_are_in_hours():
    assert progress._time(59.6) == "1 min 00 s"
    assert progress._time(3 * 3600 + 61) == "3 h 01 min"
