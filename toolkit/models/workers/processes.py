"""A worker's process: a group of its own, an environment of nothing but what it needs, and an end that is certain."""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

from toolkit.models.workers.environments import Environment
from toolkit.models.workers.library import COMMON, HOST, Tool

KEPT_OUTPUT_BYTES = 16_384


class WorkerProcess:
    """`host.py` of an environment, running in a scratch folder that is its home, its temp and its working place.

    framed : its standard output is the caller's to read; otherwise it is captured like the standard error.
    """

    def __init__(self, environment: Environment, arguments: Sequence[str], scratch: Path, *, framed: bool) -> None:
        library = environment.library
        for name in ("home", "tmp", "work"):
            (scratch / name).mkdir(exist_ok=True)
        # PATH leads into the environment: some libraries start the first `python3` that they find.
        self._process = subprocess.Popen(
            [str(environment.python), "-s", "-u", str(HOST), arguments[0], str(library.script), *arguments[1:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if framed else subprocess.STDOUT,
            cwd=scratch / "work",
            env=_variables(environment, scratch),
            start_new_session=True,
        )
        captured = self._process.stderr if framed else self._process.stdout
        assert captured is not None
        self._kept = bytearray()
        self._reader = threading.Thread(target=self._capture, args=(captured.fileno(),), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def megabytes(self) -> float | None:
        """Memory that it holds; None where that cannot be told."""
        try:
            said = Path(f"/proc/{self.pid}/status").read_text()
            return int(said.partition("VmRSS:")[2].split()[0]) / 1024
        except (OSError, IndexError, ValueError):
            return None

    @property
    def pipes(self) -> tuple[int, int]:
        """File descriptors: its input, and its output where it is framed."""
        assert self._process.stdin is not None and self._process.stdout is not None
        return self._process.stdin.fileno(), self._process.stdout.fileno()

    def wait(self, secs: float) -> int | None:
        """Its exit code (-signal), None if it goes on for longer."""
        try:
            return self._process.wait(secs)
        except subprocess.TimeoutExpired:
            return None

    def end(self) -> str:
        """Kill the whole group, close the pipes; the end of what it printed."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        # A grandchild that left the group may hold the pipe open: its words are not waited for.
        self._reader.join(1.0)
        if not self._reader.is_alive():
            for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
        return bytes(self._kept).decode("utf-8", "replace")

    def _capture(self, descriptor: int) -> None:
        while data := os.read(descriptor, 65_536):
            self._kept += data
            del self._kept[:-KEPT_OUTPUT_BYTES]


def last_words(output: str) -> str:
    """The last line that says something, for an error's end; empty if there is none."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return f"; the last that it printed: {lines[-1][:200]}" if lines else ""


def _variables(environment: Environment, scratch: Path) -> dict[str, str]:
    library: Tool = environment.library
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    return {
        "PATH": f"{environment.python.parent}{os.pathsep}{os.defpath}",
        "HOME": str(scratch / "home"),
        "TMPDIR": str(scratch / "tmp"),
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": str(COMMON),
        # These modules lie beside Lockstep's own modules, where nothing is to be written.
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONWARNINGS": "ignore",
        "MPLBACKEND": "Agg",
        # One thread sums in one order, and small fits are two to three times faster with it.
        **dict.fromkeys(threads, "1"),
        **library.variables,
    }
