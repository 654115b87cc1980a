"""Making a library's environment from its lock file, whole or not at all, by uv where there is one, else by pip."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from toolkit.models.workers.environments import (
    STATE_FILE,
    Environment,
    environment,
    environments_root,
    lock_digest,
)
from toolkit.models.workers.failure import WorkerError
from toolkit.models.workers.library import Tool
from toolkit.models.workers.processes import last_words
from toolkit.models.workers.resident import Resident

INSTALL_SECS = 3600.0


def _silent(message: str) -> None:
    """Progress that nobody reads."""


def install(library: Tool, python: Path | None = None, *, progress: Callable[[str], None] = _silent) -> Environment:
    """Make (or make anew) the environment of a library: nothing but what its lock names, each file by its hash,
    wheels wherever there are any. An older one stays in place until the new one has answered.

    python : an interpreter of one of the library's versions; None = the first that is found.
    """
    interpreter = find_python(library, python)
    root = environments_root()
    root.mkdir(parents=True, exist_ok=True)
    _check_space(library, root)
    made, uv = root / f".{library.name}-{os.getpid()}", shutil.which("uv")
    started = time.monotonic()
    try:
        progress(f"making the environment of {library.title} with {'uv' if uv else 'pip'} and {interpreter}")
        for command in _commands(library, interpreter, made, uv):
            _run(command, library)
        progress(f"installed in {time.monotonic() - started:.0f} s; asking {library.title} for its versions")
        return _settled(library, made, started)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def find_python(library: Tool, named: Path | None = None) -> Path:
    """An interpreter of a version that the library runs on: the one that is named, or one on PATH."""
    wanted = f"{library.title} needs Python {library.pythons[-1]} to {library.pythons[0]}"
    if named is not None:
        version, path = _version(str(named))
        if version not in library.pythons:
            what = f"Python {version}" if version else "no Python that runs"
            raise WorkerError(f"{wanted}, and {named} is {what}; name another with --python")
        return path
    for candidate in [*(f"python{version}" for version in library.pythons), sys.executable, "python3"]:
        version, path = _version(candidate)
        if version in library.pythons:
            return path
    raise WorkerError(f"{wanted}, and none was found on PATH; install one, or name it with --python")


def _version(interpreter: str) -> tuple[str, Path]:
    """Such as "3.11", and where it is itself (a launcher is asked); an empty version where it does not run."""
    code = "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)"
    try:
        done = subprocess.run([interpreter, "-I", "-c", code], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return "", Path(interpreter)
    version, _, path = done.stdout.strip().partition(" ")
    return (version if done.returncode == 0 else ""), Path(path)


def _check_space(library: Tool, root: Path) -> None:
    free = shutil.disk_usage(root).free // 2**20
    if free < 2 * library.megabytes:
        raise WorkerError(
            f"the environment of {library.title} takes about {library.megabytes} MB, twice that while it is made, "
            f"and {root} has {free} MB free; make room, or name another folder in LOCKSTEP_ENVS"
        )


def _commands(library: Tool, interpreter: Path, folder: Path, uv: str | None) -> list[Sequence[str]]:
    # A lock is complete: what it leaves out (a CUDA library that nobody asks for) is not to be found by a dependency.
    asked = [["--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", str(library.lock)]]
    if library.sources.exists():
        # Built by what the first step installed, so that nothing comes without its hash.
        unbuilt = ["--no-binary", ":all:", "--no-build-isolation", "-r", str(library.sources)]
        asked.append(["--no-deps", "--require-hashes", *unbuilt])
    python = str(folder / "bin" / "python")
    if uv is not None:
        make = [uv, "venv", "--quiet", "--no-project", "--python", str(interpreter), str(folder)]
        add = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python]
    else:
        make = [str(interpreter), "-m", "venv", str(folder)]
        add = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    return [make, *([*add, *what] for what in asked)]


def _run(command: Sequence[str], library: Tool) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECS, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WorkerError(f"the environment of {library.title} could not be made: {error}") from None
    if done.returncode != 0:
        output = done.stdout + done.stderr
        raise WorkerError(
            f"the environment of {library.title} could not be made: {Path(command[0]).name} ended with code "
            f"{done.returncode}{last_words(output)}",
            output,
        )


def _settled(library: Tool, made: Path, started: float) -> Environment:
    """The new environment in its place, after it has answered."""
    probe = Resident(Environment(library, made, "damaged"))
    try:
        versions = probe.greet()["versions"]
    finally:
        probe.close()
    facts = {
        "library": library.name,
        "lock": lock_digest(library),
        "versions": versions,
        "megabytes": sum(path.lstat().st_size for path in made.rglob("*")) // 2**20,
        "secs": round(time.monotonic() - started, 1),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    (made / STATE_FILE).write_text(json.dumps(facts, indent=2))
    final, old = environments_root() / library.name, made.with_name(f"{made.name}-old")
    if final.exists():
        final.replace(old)
    made.replace(final)
    shutil.rmtree(old, ignore_errors=True)
    return replace(environment(library), facts=facts)
