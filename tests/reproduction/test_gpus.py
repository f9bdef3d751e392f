"""GPUs as they look to the kit: programs of NVIDIA's that only say what the real ones would."""

import functools
import os
import re

import pytest
import tensorflow as tf

from vae_keras.reproduction import executor, gpus, runs


@pytest.fixture
def card(monkeypatch, tmp_path):
    """A machine with two cards, on which TensorFlow runs; a function that installs a program."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(gpus, "SERVICE", str(tmp_path / "none"))
    for name in ("_installed", "_why_unused"):  # not as this machine has answered already
        fresh = functools.cache(getattr(gpus, name).__wrapped__)
        monkeypatch.setattr(gpus, name, fresh)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["one"])

    def install(name, script):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    install("nvidia-smi", "printf '0\\n1\\n'")
    return install


@pytest.fixture
def service(card, tmp_path):
    """What was asked of the Multi-Process Service: arguments, input, the folder of its pipes."""
    log = tmp_path / "log"
    card(gpus.CONTROL, f'echo "$* $([ $# = 0 ] && cat) $CUDA_MPS_PIPE_DIRECTORY" >> {log}')
    return lambda: log.read_text().splitlines() if log.exists() else []


@pytest.mark.usefixtures("card")
def test_the_cards_are_those_that_the_machine_or_the_user_names(monkeypatch):
    assert gpus.names() == ["0", "1"]
    assert gpus.why_unused() == ""
    for asked, names in (("1", ["1"]), ("", []), ("-1", []), ("GPU-3f, 0", ["GPU-3f", " 0"])):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", asked)
        assert gpus.names() == names


@pytest.mark.parametrize(
    ("built", "library", "why"),
    [
        (False, None, r"this TensorFlow was built without CUDA\."),
        (
            True,
            None,
            r'not installed\. `\.venv/bin/python -m pip install "tensorflow\[and-cuda\]"`',
        ),
        (True, "there", "with TF_CPP_MIN_LOG_LEVEL=0 it prints the reason"),
    ],
)
@pytest.mark.usefixtures("card")
def test_a_card_that_is_not_used_is_said_in_a_sentence(built, library, why, monkeypatch, capsys):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [])
    monkeypatch.setattr(tf.sysconfig, "get_build_info", lambda: {"is_cuda_build": built})
    monkeypatch.setattr(gpus.importlib.util, "find_spec", lambda name: library)
    assert re.search(
        f"^TensorFlow does not use the GPU of this machine: .*{why}", gpus.why_unused()
    )
    assert gpus.names() == []  # the work goes to the cores
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(2))
    assert executor.n_jobs() == 2
    with runs._workers(print, executor.Execution(jobs=0)):
        assert capsys.readouterr().err == f"{gpus.why_unused()}\n"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # who hides a card knows why
    assert gpus.why_unused() == ""


def test_as_many_runs_share_a_card_as_pay_there(card, monkeypatch):
    assert gpus.at_once(64) == 2  # without the service
    card(gpus.CONTROL, "exit 0")
    assert [gpus.at_once(most) for most in (64, 20, 1)] == [32, 20, 2]
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(12))
    memory = type("Memory", (), {"available": 100 * executor.MEMORY})
    monkeypatch.setattr(executor.psutil, "virtual_memory", lambda: memory)
    assert executor.n_jobs() == 12


def test_the_service_runs_as_long_as_its_processes(service):
    with gpus.shared(3) as environment:
        folder = environment["CUDA_MPS_PIPE_DIRECTORY"]
        assert service() == [f"-d  {folder}"]
        assert os.path.isdir(folder)
    assert service() == [f"-d  {folder}", f" quit {folder}"]
    assert not os.path.exists(folder)


def test_a_service_is_neither_needed_for_a_process_a_card_nor_started_twice(
    service, monkeypatch, tmp_path
):
    with gpus.shared(2) as environment:
        assert environment == {}
    monkeypatch.setattr(gpus, "SERVICE", str(tmp_path))  # the user's own
    with gpus.shared(3) as environment:
        assert environment == {}
    assert service() == []


def test_where_the_service_fails_there_is_a_process_a_card(card, monkeypatch, capfd):
    card(gpus.CONTROL, "exit 1")
    processes = []
    monkeypatch.setattr(
        executor, "LocalExecutor", lambda n, *_: processes.append(n) or executor.InThisProcess()
    )
    monkeypatch.setattr(executor, "n_jobs", lambda: 8)
    for jobs, n in ((None, 2), (5, 5)):  # who asks for five gets them
        with executor.local(jobs=jobs):
            assert processes.pop() == n
        assert re.match(
            "NVIDIA's Multi-Process Service could not be started", capfd.readouterr().err
        )
