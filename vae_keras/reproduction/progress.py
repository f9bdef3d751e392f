"""The progress display of training: one line in total, and one line per run.

A terminal and a notebook update the lines in place. Elsewhere, as in a CI log, they are printed
every 30 seconds.
"""

import sys
import threading
import time
from typing import Any

from tqdm import tqdm

from vae_keras.callbacks import OBJECTIVES
from vae_keras.reproduction.experiments import Experiment

RATE_AFTER_S = 3  # of training: an earlier rate would include compilation
SILENT_AFTER_S = 4  # a run in training reports twice a second
EVERY_S = {"terminal": 0.5, "notebook": 2, "log": 30}


class Board:
    """A context that displays the progress of `runs` (key -> experiment) as `update` receives it.

    `stored`: key -> training samples that each run already had at the start.
    """

    def __init__(self, runs: dict[str, Experiment], stored: dict[str, int]):
        self._runs, self._stored, self._lock = runs, stored, threading.Lock()
        self._now: dict[str, dict[str, Any]] = {}  # the last report of each run in training
        self._done: set[str] = set()
        self._closed, self._began = threading.Event(), time.perf_counter()

    def update(self, report: dict[str, Any]) -> None:
        """Take a report from the training of a run: key, samples, of, objective, nats."""
        now = time.perf_counter()
        with self._lock:
            before = self._now.get(report["key"])
            begun = before["begun"] if before else (now, report["samples"])
            seconds, samples = now - begun[0], report["samples"] - begun[1]
            rate = samples / seconds if seconds >= RATE_AFTER_S else 0.0
            self._now[report["key"]] = report | {"begun": begun, "rate": rate, "at": now}

    def ended(self, key: str, done: bool) -> None:
        """Remove a run that is no longer in training; `done`: it is finished."""
        with self._lock:
            self._now.pop(key, None)
            if done:
                self._done.add(key)

    def lines(self) -> list[str]:
        """The total, then one line per run in training."""
        with self._lock:
            now, done = list(self._now.values()), set(self._done)
        total = work = pace = 0.0
        trained = {report["key"]: report for report in now}
        for key, run in self._runs.items():
            stored = min(self._stored.get(key, 0), run.samples)
            report = trained.get(key, {"samples": stored, "rate": 0.0})
            so_far = run.samples if key in done else report["samples"]
            total += run.cost
            work += run.cost * so_far / run.samples
            pace += run.cost * report["rate"] / run.samples
        share = min(work / total, 1)
        # From the current rates: the average would include starting and compiling.
        left = (total - work) / pace if pace else None
        rate = sum(report["rate"] for report in now)
        whole = f"{len(done)} of {len(self._runs)} runs, {share:.0%}"
        if rate:
            whole += f", {rate:,.0f} samples/s"
        elif not now and share < 1:
            whole += ", starting TensorFlow and compiling"
        return [whole + (f", about {_time(left)} left" if left and share < 1 else "")] + [
            self._line(report) for report in now
        ]

    def _line(self, report):
        rate, left = report["rate"], report["of"] - report["samples"]
        title = self._runs[report["key"]].title
        line = f"  {title}: {report['samples']:,} of {report['of']:,} samples"
        if time.perf_counter() - report["at"] > SILENT_AFTER_S:
            return f"{line}, measuring"
        objective = f"{OBJECTIVES[report['objective']]} {report['nats']:.1f} nats"
        if not rate:
            return f"{line}, {objective}"
        return f"{line}, {rate:,.0f}/s, {objective}, {_time(left / rate)} left"

    # ------------------------------------------------------------------------------- display

    def __enter__(self) -> "Board":
        self._kind, self._display = "log", None
        self._bars: list[tqdm] = []
        if "ipykernel" in sys.modules:
            from IPython.display import display

            self._kind = "notebook"
            self._display = display({"text/plain": ""}, raw=True, display_id=True)
        elif sys.stderr is not None and sys.stderr.isatty():
            self._kind = "terminal"
        self._thread = threading.Thread(target=self._show, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.join()
        for bar in self._bars:
            bar.close()
        if self._kind != "notebook":
            print(self._last_word(), file=sys.stderr, flush=True)
        elif self._display:
            self._display.update({"text/plain": self._last_word()}, raw=True)

    def _last_word(self):
        seconds = time.perf_counter() - self._began
        return f"{len(self._done)} of {len(self._runs)} runs trained in {_time(seconds)}"

    def _show(self):
        while not self._closed.wait(EVERY_S[self._kind]):
            lines = self.lines()
            if self._kind == "notebook" and self._display:
                self._display.update({"text/plain": "\n".join(lines)}, raw=True)
            elif self._kind == "terminal":
                while len(self._bars) < len(lines):
                    bar = tqdm(bar_format="{desc}", position=len(self._bars), leave=False)
                    self._bars.append(bar)
                for bar, line in zip(self._bars, lines + [""] * len(self._bars), strict=False):
                    bar.set_description_str(line[: bar.ncols or 100])
            elif sys.stderr is not None and len(lines) > 1:
                print("\n".join(lines), file=sys.stderr, flush=True)


def _time(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s"
