"""The commands: what they refuse, say and leave; interrupted, twice at once."""

import dataclasses
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import Mock

import pytest

from vae_keras.__main__ import main
from vae_keras.reproduction import command_line, executor, notebooks, paths, store
from vae_keras.reproduction.executor import Execution

RUN_ALL = ["bash", "reproduce/run_all.sh"]


def start(*arguments, results, cwd=paths.ROOT):
    """A process as a terminal has it, in a process group of its own."""
    environment = os.environ | {"VAE_KERAS_RESULTS": str(results), "VAE_KERAS_DATA": ""}
    return subprocess.Popen(
        arguments, cwd=cwd, env=environment, start_new_session=True, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def left_over(results):
    """Processes that still work for this store."""
    mark = f"VAE_KERAS_RESULTS={results}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_bytes())
        except OSError:
            continue
    return found


def test_places_begin_where_the_user_stands(monkeypatch, tmp_path):
    """Whatever folder the process that writes there works in."""
    seen = {}

    def run(names, preset, force, folder, execution):
        seen.update(folder=folder, preset=preset, results=os.environ["VAE_KERAS_RESULTS"])
        return 0

    monkeypatch.setattr(command_line.notebooks, "run", run)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for given, place in (("figs", tmp_path / "figs"), ("~/figs", tmp_path / "home" / "figs")):
        monkeypatch.setenv("VAE_KERAS_RESULTS", "res")
        assert main(["figures", "--figures-dir", given]) == 0
        assert seen == {"folder": place, "preset": "quick", "results": str(tmp_path / "res")}


def test_help_and_a_mistyped_option_need_no_python(capsys):
    """Which would import TensorFlow first; what the one lists the other takes."""

    def said(*arguments):
        environment = {"PATH": os.environ["PATH"], "PYTHON": "/nowhere"}
        done = subprocess.run(
            [*RUN_ALL, *arguments], cwd=paths.ROOT, env=environment, capture_output=True, text=True
        )
        return done.returncode, done.stdout, done.stderr

    status, usage, _ = said("--help")
    assert status == 0
    with pytest.raises(SystemExit):
        main(["figures", "--help"])
    options = set(re.findall(r"--[a-z-]+", usage)) - {"--drop"}
    assert options == set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    for wrong in ("--presett=quick", "-n"):
        assert said("--force", wrong) == (
            2, "", f"run_all.sh: no option {wrong}; --help lists them\n",
        )  # fmt: skip
    script = (paths.ROOT / RUN_ALL[1]).read_text()
    assert options - {"--help"} == set(re.findall(r"(--[a-z-]+)(?= \||\) ;;)", script)) - {"--help"}


def test_nobody_needs_to_read_what_is_said(monkeypatch):
    """As of `| head`, whose other end is gone, and of `>&-`."""
    reads, writes = os.pipe()
    os.close(reads)
    with monkeypatch.context() as patch, open(writes, "w") as stdout:
        patch.setattr(sys, "stdout", stdout)
        assert main(["runs"]) == 1
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    assert main(["runs"]) == 0


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
@pytest.mark.parametrize(
    ("figure", "works", "number"),
    [
        ("fig_samples", b"vae_keras.reproduction.worker", signal.SIGINT),
        ("fig_graphical_model", b"ipykernel", signal.SIGTERM),
    ],
)
def test_an_interrupted_run_says_what_is_stored_and_leaves_nothing_running(
    tmp_path, figure, works, number
):
    """While processes train two runs, and while a kernel draws."""
    figures = tmp_path / "figures"
    arguments = ["--preset", "quick", "--only", figure, "--figures-dir", str(figures)]
    process = start(*RUN_ALL, *arguments, "--jobs", "2", results=tmp_path)
    wanted = 2 if figure == "fig_samples" else 1
    while True:
        working = [command for command in left_over(tmp_path) if works in command]
        trained = list((tmp_path / "runs").glob(".*.lock"))
        if len(working) >= wanted and (figure != "fig_samples" or len(trained) >= wanted):
            break
        assert process.poll() is None
        time.sleep(0.1)
    if number == signal.SIGINT:  # as a terminal sends it
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Interrupted." in out
    assert re.search(r"holds 0 finished runs and \d unfinished ones: start the same command", out)
    assert "Traceback" not in out
    for _ in range(50):
        if not left_over(tmp_path):
            break
        time.sleep(0.2)
    assert left_over(tmp_path) == []


@pytest.mark.long
def test_two_runs_at_once_share_the_work_from_another_folder(tmp_path):
    """A relative folder is the user's own."""
    arguments = ["--preset", "smoke", "--only", "fig_graphical_model", "--figures-dir", "figs"]
    command = ["bash", str(paths.ROOT / RUN_ALL[1]), *arguments]
    both = [start(*command, results="res", cwd=tmp_path) for _ in range(2)]
    said = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    states = sorted(
        re.search(r"fig_graphical_model +(\w+)", out.split("state")[1])[1] for out in said
    )
    assert states == ["fresh", "made"]
    assert (tmp_path / "figs" / "fig_graphical_model.png").exists()
    assert (tmp_path / "res" / "notebooks" / "smoke" / "fig_graphical_model.ipynb").exists()


def test_a_folder_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    arguments = ["--preset", "smoke", "--figures-dir", str(tmp_path / "file" / "figures")]
    assert main(["figures", *arguments]) == 1
    (sentence,) = capsys.readouterr().err.splitlines()
    assert sentence.startswith("Stopped: ")
    assert "figures cannot be written (Not a directory): set VAE_KERAS_RESULTS to a" in sentence


def test_a_data_folder_that_is_none(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "nowhere"
    monkeypatch.setenv("VAE_KERAS_DATA", str(folder))
    arguments = ["--preset", "smoke", "--only", "fig_manifold"]
    assert main(["figures", *arguments, "--figures-dir", str(tmp_path / "figures")]) == 1
    (sentence,) = capsys.readouterr().err.splitlines()
    assert sentence.startswith(f"Stopped: VAE_KERAS_DATA names '{folder}'")


@pytest.mark.long
def test_papermill_as_a_user_types_it(tmp_path):
    """From another folder, into a pipe, without an output path, standard input closed."""
    if not (paths.ROOT / ".venv/made-from").exists():
        pytest.skip("this environment was not made by reproduce/environment.py")
    command = f'"{sys.prefix}/bin/papermill" "{paths.NOTEBOOKS}/fig_graphical_model.ipynb"'
    command += f' -p figures_dir "{tmp_path}/figures" <&-'
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | tail -c 1000000 > out.ipynb"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "nbformat_minor" in (tmp_path / "out.ipynb").read_text()
    assert (tmp_path / "figures" / "fig_graphical_model.png").exists()


def test_the_store_is_told_of_in_the_words_of_its_states(monkeypatch, tmp_path):
    states = ("finished", "stopped", "training", "unreadable", "finished")
    runs = {f"run{i}": {"state": state} for i, state in enumerate(states)}
    monkeypatch.setattr(store, "records", lambda: runs)
    assert "holds 2 finished runs and 2 unfinished ones: " in command_line._stored()


def test_foreign_files_and_runs_of_another_recipe_disturb_nothing(run, capsys, monkeypatch):
    (store.runs_folder() / "notes.txt").write_text("mine")
    (store.runs_folder() / "not a run").mkdir()
    assert main(["runs"]) == 0
    out = capsys.readouterr().out
    assert "unreadable" in out
    values = r"train -?[\d.]+, test -?[\d.]+, running -?[\d.]+ nats"
    assert re.search(f"finished: 4,000 samples; at 3,000: {values}", out)
    monkeypatch.setattr(command_line.experiments, "RECIPE", 0)
    assert main(["runs"]) == 0
    assert (
        "finished, by another version of vae_keras, with a different recipe"
        in capsys.readouterr().out
    )


def test_runs_are_listed_and_dropped(run, small, faces, capsys, checkpointed):
    other = dataclasses.replace(small, seed=1)
    checkpointed(other, faces)
    assert {key: run["state"] for key, run in store.records().items()} == {
        small.key: "finished",
        other.key: "stopped",
    }
    assert main(["runs", "--drop", "nothing"]) == 1
    assert "there is no run 'nothing'" in capsys.readouterr().err
    assert main(["runs", "--drop", other.key]) == 0
    assert list(store.records()) == [small.key]
    assert main(["runs", "--drop", "all"]) == 0
    assert store.records() == {}


def test_a_run_that_no_disk_keeps_is_told_as_it_is(checkpoint, small, monkeypatch, capsys):
    """On a read-only disk a stopped run is stopped, and that it cannot be dropped is said."""

    def read_only(*_, **__):
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(store.filelock.FileLock, "acquire", read_only)
        assert store.records()[small.key]["state"] == "stopped"
        assert main(["runs"]) == 0
        assert f"{small.key:<60} stopped: " in capsys.readouterr().out
        assert main(["runs", "--drop", small.key]) == 1
        assert "cannot be written (Read-only file system)" in capsys.readouterr().err
    monkeypatch.setattr(store.shutil, "rmtree", read_only)  # or the run's folder alone
    with pytest.raises(store.StoreError, match=r"cannot be written \(Read-only file system"):
        store.drop(small.key)


def test_what_the_figures_command_asks_for(monkeypatch, tmp_path):
    """By default all figures at preset quick, into the preset's folder, trained where it says."""
    run = Mock(return_value=7)
    monkeypatch.setattr(notebooks, "run", run)
    monkeypatch.setattr(executor, "check_cluster", lambda address: None)
    monkeypatch.setenv("VAE_KERAS_JOBS", "2")
    monkeypatch.setenv("VAE_KERAS_CLUSTER", "")
    assert main(["figures"]) == 7
    assert main(["figures", "--preset", "smoke", "--jobs", "0", "--no-training"]) == 7
    options = ["--only", "fig_samples", "--force", "--figures-dir", str(tmp_path), "--jobs", "3"]
    assert main(["figures", *options, "--cluster", "tcp://there:8786"]) == 7
    assert [call.args for call in run.call_args_list] == [
        (paths.NAMES, "quick", False, paths.figures("quick"), Execution(2)),
        (paths.NAMES, "smoke", False, paths.figures("smoke"), Execution(0, train=False)),
        (["fig_samples"], "quick", True, tmp_path, Execution(3, "tcp://there:8786")),
    ]


def test_a_scheduler_that_is_not_there_is_noticed_also_where_nothing_is_trained(
    monkeypatch, capsys
):
    def refuse(address):
        raise executor.ClusterError(f"no Dask scheduler answers at {address}")

    monkeypatch.setenv("VAE_KERAS_CLUSTER", "")
    monkeypatch.setattr(executor, "check_cluster", refuse)
    monkeypatch.setattr(notebooks, "run", lambda *_: pytest.fail("it goes on"))
    assert main(["figures", "--cluster", "tcp://there:8786"]) == 1
    assert capsys.readouterr().err.startswith("no Dask scheduler answers at tcp://there:8786. ")


def test_the_card_of_claims_is_printed(capsys, monkeypatch, tmp_path):
    assert main(["claims"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("| claim | verdict | measured | figure |")
    assert "\n| the paper's points in | ours within | AEVB |" in printed
    monkeypatch.setattr(paths, "FIGURES", tmp_path)
    assert main(["claims"]) == 1
    assert "in a checkout of the project" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (executor.ClusterError("nobody answers"), 1, "nobody answers. "),
        (KeyboardInterrupt(), 130, "\nInterrupted. "),
    ],
)
def test_what_ends_the_command_is_a_status_and_a_sentence(error, status, said, monkeypatch, capsys):
    monkeypatch.setattr(notebooks, "run", Mock(side_effect=error))
    assert main(["figures"]) == status
    assert capsys.readouterr().err.startswith(said)


def test_one_run_that_cannot_be_dropped_is_a_status_and_the_others_go(monkeypatch, capsys):
    def drop(key):
        if key == "b":
            raise store.StoreError("b is being trained")

    monkeypatch.setattr(store, "drop", drop)
    monkeypatch.setattr(store, "records", lambda: {key: {"state": "finished"} for key in "abc"})
    assert main(["runs", "--drop", "all"]) == 1
    out, err = capsys.readouterr()
    assert (out, err) == ("dropped a\ndropped c\n", "b is being trained\n")
    assert main(["runs", "--drop", "a"]) == 0


def test_the_data_command_reports(monkeypatch):
    monkeypatch.setattr(command_line.datasets, "report", lambda: 3)
    assert main(["data"]) == 3
