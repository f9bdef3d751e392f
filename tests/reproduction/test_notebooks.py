"""The runner of the figure notebooks, without a kernel: what it starts, says and ends."""

import io
import re
import signal
import subprocess

import nbformat
import pytest

from vae_keras import datasets
from vae_keras.reproduction import executor, notebooks, provenance
from vae_keras.reproduction.executor import Execution
from vae_keras.reproduction.experiments import Experiment
from vae_keras.reproduction.settings import FIGURES, FullVB, Manifold, Samples


def test_an_order_to_end_is_taken_while_notebooks_run():
    before = signal.getsignal(signal.SIGHUP)
    with notebooks._Notebooks({}, side_by_side=False):
        for number in (signal.SIGTERM, signal.SIGHUP):
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(number)
    assert signal.getsignal(signal.SIGHUP) == before


class Block(io.BytesIO):
    """What comes through a pipe: a block at a time, wherever it is cut."""

    def __init__(self, *blocks):
        super().__init__()
        self.blocks = list(blocks)

    def read1(self, size=-1):
        return self.blocks.pop(0) if self.blocks else b""


def test_what_a_notebook_prints_comes_a_line_at_a_time_after_its_name(capsys):
    blocks = (b"on", b"e \r two\n\n", b" \nthree\xff\r\n", b"last words")
    notebooks._print_labelled("fig_a", Block(*blocks))
    assert capsys.readouterr().out == (
        "fig_a: one\nfig_a:  two\nfig_a: three\N{REPLACEMENT CHARACTER}\nfig_a: last words\n"
    )


def test_why_a_notebook_failed_is_its_error_or_papermills_last_word(tmp_path):
    output, log = tmp_path / "fig_a.ipynb", tmp_path / "fig_a.log"
    log.write_text("Traceback\n\nNoSuchKernel: python9\n\n")
    assert notebooks._failure(output, log) == f"NoSuchKernel: python9 (see {log})"  # no notebook
    output.write_text("{")  # killed while it was written
    assert notebooks._failure(output, log) == f"NoSuchKernel: python9 (see {log})"
    error = nbformat.v4.new_output("error", ename="ValueError", evalue="bad", traceback=[])
    cells = [nbformat.v4.new_markdown_cell("# a"), nbformat.v4.new_code_cell("1")]
    cells.append(nbformat.v4.new_code_cell("2", outputs=[error]))
    nbformat.write(nbformat.v4.new_notebook(cells=cells), output)
    assert notebooks._failure(output, log) == f"ValueError: bad (see {output})"
    output.unlink()
    log.write_text("")
    assert notebooks._failure(output, log) == f"no error message (see {log})"


A, B = "fig_graphical_model", "fig_samples"


@pytest.fixture
def executed(monkeypatch):
    """What the runner would execute: (name, values, side by side?).

    fig_samples fails, both are stale, and there is nothing to train.
    """
    monkeypatch.setattr(notebooks, "_train", lambda *_: {})
    monkeypatch.setattr(provenance, "is_fresh", lambda *_: False)
    monkeypatch.setattr(notebooks.datasets, "stand_ins", lambda names: {})
    found = []

    def execute(self, name, values, output):
        found.append((name, values, self.side_by_side))
        return "it fell over" if name == B else ""

    monkeypatch.setattr(notebooks._Notebooks, "execute", execute)
    return found


def test_stale_notebooks_are_run_with_their_parameters_of_the_preset(executed, tmp_path, capsys):
    assert notebooks.run([A, A], "smoke", False, tmp_path, Execution(jobs=0)) == 0
    assert executed == [(A, {"preset": "smoke", "figures_dir": str(tmp_path)}, False)]
    assert (
        notebooks.run([A, B], "smoke", False, tmp_path, Execution(jobs=0)) == 1
    )  # one of them failed
    assert executed[1:] == [
        (A, {"preset": "smoke", "figures_dir": str(tmp_path)}, False),
        (B, {"preset": "smoke", "figures_dir": str(tmp_path)}, False),
    ]
    *_, made, failed, where = capsys.readouterr().out.splitlines()
    assert re.fullmatch(rf"{A} +made +0s", made)
    assert re.fullmatch(rf"{B} +FAILED +0s  it fell over", failed)
    assert where == f"The figures are in {tmp_path}"


def test_fresh_notebooks_are_run_only_by_force(executed, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(provenance, "is_fresh", lambda settings, _: settings.name == A)
    assert notebooks.run([A], "smoke", False, tmp_path, Execution(jobs=0)) == 0
    assert executed == []
    assert re.search(rf"{A} +fresh", capsys.readouterr().out)
    assert notebooks.run([A], "smoke", True, tmp_path, Execution(jobs=0)) == 0
    assert [name for name, *_ in executed] == [A]


def test_without_training_everything_is_drawn_as_it_is(executed, tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "is_fresh", lambda *_: True)
    monkeypatch.setattr(notebooks, "_train", lambda *_: pytest.fail("trained"))
    assert notebooks.run([A], "smoke", False, tmp_path, Execution(train=False)) == 0
    assert [name for name, *_ in executed] == [A]


def test_what_another_process_drew_in_the_meantime_is_not_drawn_again(
    executed, tmp_path, monkeypatch, capsys
):
    answers = iter([False, True])
    monkeypatch.setattr(provenance, "is_fresh", lambda *_: next(answers))
    assert notebooks.run([A], "smoke", False, tmp_path, Execution(jobs=0)) == 0
    assert executed == []
    assert re.search(rf"{A} +fresh", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("names", "jobs", "side_by_side"),
    [([A, B], 0, False), ([A, B], 1, False), ([A, B], 2, True), ([A, B], 5, True), ([A], 5, False)],
)
def test_stale_notebooks_are_run_side_by_side_where_there_are_jobs(
    executed, tmp_path, monkeypatch, names, jobs, side_by_side
):
    """One stale notebook is no five jobs."""
    execution = Execution(jobs=jobs)
    assert notebooks.run(names, "smoke", False, tmp_path, execution) == int(B in names)
    assert {(name, s) for name, _, s in executed} == {(name, side_by_side) for name in names}


def failing(*names):
    """A `run_all` by which the runs of these data sets fail, and all others are stored."""

    def run_all(chosen, in_turn, execution, meanwhile):
        assert in_turn
        run_all.asked.append([e.dataset for e, _ in chosen])
        run_all.stored |= {e.key for e, _ in chosen if e.dataset not in names}
        if names:
            error = ValueError("it fell over")
            error.add_note("the first")
            raise error

    run_all.asked, run_all.stored = [], set()
    return run_all


class Figure:
    """One whose name says which data sets it is drawn from, a run each."""

    def __init__(self, name, runs=None):
        self.name, self._runs = name, runs

    def runs(self):
        if self.name == "no data":
            raise datasets.DataError("it is nowhere")
        if self._runs is not None:
            return self._runs
        return [(Experiment(dataset, 2, 2000), None) for dataset in self.name.split()]


@pytest.mark.parametrize(
    ("names", "failing_sets", "asked", "failed"),
    [
        (["frey_face mnist", "mnist"], [], [["mnist", "mnist", "frey_face"]], {}),
        (["mnist", "frey_face mnist", "mnist_5k"], ["frey_face"],
         [["mnist", "mnist_5k", "mnist", "frey_face"]],
         {"frey_face mnist": "ValueError: it fell over; the first"}),
        (["frey_face synthetic_faces", "mnist"], [],  # few runs first, though they take longer
         [["mnist", "frey_face", "synthetic_faces"]], {}),
        (["no data", "mnist"], [], [["mnist"]], {"no data": "it is nowhere"}),
        (["", "no data"], [], [], {"no data": "it is nowhere"}),
    ],
)  # fmt: skip
def test_what_all_figures_need_is_trained_at_once_and_those_that_cannot_be_drawn_are_said(
    monkeypatch, names, failing_sets, asked, failed
):
    """A figure without its data holds up no other, nor does a run that fails."""
    run_all = failing(*failing_sets)
    monkeypatch.setattr(notebooks.runs, "check", lambda plan: None)
    monkeypatch.setattr(notebooks.runs, "run_all", run_all)
    monkeypatch.setattr(notebooks.store, "is_finished", lambda key, _: key in run_all.stored)
    ready = []
    assert notebooks._train([*map(Figure, names)], Execution(), ready.append) == failed
    assert sorted([*(figure.name for figure in ready), *failed]) == sorted(names)
    assert run_all.asked == asked


@pytest.mark.filterwarnings("ignore:.*EMBEDDED DATA stand in")
def test_pictures_are_trained_for_before_curves(monkeypatch):
    asked = []
    monkeypatch.setattr(notebooks.runs, "check", lambda plan: None)
    monkeypatch.setattr(notebooks.runs, "run_all", lambda chosen, **_: asked.extend(chosen))
    figures = [FullVB(preset="smoke"), Samples(preset="smoke"), Manifold(preset="smoke")]
    notebooks._train(figures, Execution(), lambda settings: None)
    pairs = [(e.algorithm, e.latent_dim) for e, _ in asked]
    assert pairs[:2] == [("aevb", 2)] * 2  # figure 4
    assert {pair[0] for pair in pairs[:6]} == {"aevb"}
    assert sorted(pairs[6:]) == [("aevb", 10), ("full_vb", 10)]


def test_a_figure_is_drawn_as_soon_as_its_runs_are_there(monkeypatch):
    """While others are trained, and one with no runs at once."""
    stored, drawn = set(), {}
    chosen = [
        Figure("fig_lower_bound", [(Experiment("mnist", n, 2000), None) for n in (5, 7, 9)]),
        Figure("fig_samples", [(Experiment("mnist", 2, 2000), None)]),
        Figure("fig_graphical_model", []),
    ]

    def run_all(chosen, in_turn, execution, meanwhile):
        for experiment, _ in chosen:
            stored.add(experiment.key)
            meanwhile()

    monkeypatch.setattr(notebooks.runs, "check", lambda plan: None)
    monkeypatch.setattr(notebooks.runs, "run_all", run_all)
    monkeypatch.setattr(notebooks.store, "is_finished", lambda key, _: key in stored)
    ready = lambda figure: drawn.setdefault(figure.name, len(stored))  # noqa: E731
    assert notebooks._train(chosen, Execution(), ready) == {}
    assert drawn == {"fig_graphical_model": 0, "fig_samples": 1, "fig_lower_bound": 4}


def test_without_its_scheduler_nothing_is_drawn(monkeypatch):
    def run_all(chosen, in_turn, execution, meanwhile):
        raise executor.ClusterError("nobody answers")

    monkeypatch.setattr(notebooks.runs, "check", lambda plan: None)
    monkeypatch.setattr(notebooks.runs, "run_all", run_all)
    with pytest.raises(executor.ClusterError, match="nobody answers"):
        notebooks._train([Figure("mnist")], Execution(), print)


def test_a_figure_whose_runs_failed_is_not_drawn(executed, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(notebooks, "_train", lambda figures, *_: {figures[-1].name: "it diverged"})
    assert notebooks.run([A, B], "smoke", False, tmp_path, Execution(jobs=0)) == 1
    assert [name for name, *_ in executed] == [A]
    *_, made, failed, _ = capsys.readouterr().out.splitlines()
    assert re.fullmatch(rf"{A} +made +0s", made)
    assert re.fullmatch(rf"{B} +FAILED +0s  it diverged", failed)


def test_a_folder_that_cannot_be_written_is_said_before_anything_runs(executed, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="and --figures-dir to one for figures"):
        notebooks.run([A], "smoke", False, tmp_path / "file" / "figures", Execution(jobs=0))
    assert executed == []


def test_missing_data_are_told_of_once_for_all_notebooks(monkeypatch, capsys):
    """They learn of it from their environment, and this process remembers it."""
    monkeypatch.setattr(datasets, "announced", set())
    missing = {"mnist": datasets.DataError("", "there is no network")}
    asked = []
    monkeypatch.setattr(datasets, "stand_ins", lambda names: asked.append(names) or missing)
    figures = {name: FIGURES[name](preset="smoke") for name in (A, B)}
    assert notebooks._missing_data([figures[A], figures[B], figures[B]]) == "mnist"
    assert datasets.announced == {"mnist"}
    assert asked == [{"mnist"}]
    (said,) = capsys.readouterr().err.splitlines()
    assert "EMBEDDED DATA stand in: mnist_5k" in said
    for figure in (figures[A], FIGURES[B](preset="standard")):  # needs none; takes only real ones
        assert notebooks._missing_data([figure]) == ""
    assert notebooks._missing_data([]) == ""
    assert len(asked) == 1


@pytest.mark.parametrize("side_by_side", [False, True])
def test_notebooks_side_by_side_have_a_thread_each(tmp_path, monkeypatch, capsys, side_by_side):
    """One after the other they have as many as TensorFlow likes, and print as they are."""
    started = {}

    class Papermill:
        stdout = io.BytesIO(b"a word")
        pid = None

        def __init__(self, command, **kwargs):
            started.update(kwargs)

        def wait(self):
            return 0

    monkeypatch.setattr(notebooks.subprocess, "Popen", Papermill)
    for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    with notebooks._Notebooks({}, side_by_side=side_by_side) as running:
        assert running.execute(A, {}, tmp_path / "out.ipynb") == ""
    threads = [started["env"].get(n) for n in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS")]
    assert threads == 2 * ["1" if side_by_side else None]
    assert capsys.readouterr().out == f"{A}: a word\n" * side_by_side


def test_what_runs_is_killed_and_nothing_begins_once_it_is_stopped(tmp_path):
    with notebooks._Notebooks({}, side_by_side=False) as running:
        slow, done = (
            subprocess.Popen(command, start_new_session=True)
            for command in (["sleep", "60"], ["true"])
        )
        done.wait()
        running._running |= {slow, done}
        running.stop()
        assert slow.wait(timeout=10) == -signal.SIGKILL
        assert running.execute(A, {}, tmp_path / "out.ipynb") == "interrupted"
