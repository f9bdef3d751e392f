"""The tiers, who runs what, and what is said at the end; what they share is in oracles/fixtures.py.

With several processes this one runs no test itself, so it does not import TensorFlow.
"""

import os
from collections import Counter

import psutil
import pytest

MEMORY = 1.5 * 2**30  # bytes that a process takes, at most


def pytest_addoption(parser):
    parser.addoption("--all", action="store_true", help="run also the tests that take long")


def pytest_configure(config):
    if not config.getoption("--all"):
        # oneDNN's allocator never gives memory back: with --all TensorFlow runs as everywhere.
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    if hasattr(config, "workerinput") or config.getoption("dist") == "no":
        config.pluginmanager.import_plugin("oracles.fixtures")


def pytest_xdist_auto_num_workers(config):
    """Of `-n auto`: a process a core, as far as memory allows; one more with --all.

    Many of the long tests wait for a browser, a kernel or other processes.
    """
    processes = min(8, os.cpu_count() or 1) + config.getoption("--all")
    return max(2, min(processes, int(psutil.virtual_memory().available / MEMORY)))


def pytest_collection_modifyitems(config, items):
    from vae_keras import datasets

    missing = [name for name in datasets._REMOTE if datasets.locate(name) is None]
    reasons = {
        "long": None if config.getoption("--all") else "takes long: tests/run_all.sh --all",
        "in_brief": config.getoption("--all") and "done whole by one that takes long",
        "real_data": missing
        and f"real data not found: {', '.join(missing)} (let VAE_KERAS_DATA name their folder)",
    }
    files: dict = {}  # those with the most long tests begin first, as run_all.sh leaves them
    for item in items:
        files.setdefault(item.path, []).append("long" in item.keywords)
    items.sort(key=lambda item: -sum(files[item.path]) / len(files[item.path]))
    seen = Counter()
    for item in items:
        test, first = item.nodeid.split("[")[0], item.get_closest_marker("first")
        seen[test] += 1
        if first and seen[test] > first.args[0]:
            item.add_marker("long")
        for name in (name for name, reason in reasons.items() if reason and name in item.keywords):
            item.add_marker(pytest.mark.skip(reason=reasons[name]))


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter):
    """A line for each reason why tests were skipped, and how many."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    if reasons:
        terminalreporter.section("skipped")
    for reason, n in reasons.most_common():
        terminalreporter.write_line(f"{n:4} {reason}")
