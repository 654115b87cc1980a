"""Environments of foreign libraries: where they are, in what state, and what a library may be asked there."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from toolkit.models.workers.failure import WorkerError
from toolkit.models.workers.library import Tool
from toolkit.settings import data_dir

State = Literal["absent", "ready", "outdated", "damaged"]
STATE_FILE = "environment.json"


@dataclass(frozen=True)
class Environment:
    """A library's environment as it stands.

    facts : what its making recorded: `lock` (sha256), `python`, `versions`, `megabytes`, `secs`, `made` (UTC).
    """

    library: Tool
    folder: Path
    state: State
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def versions(self) -> dict[str, str]:
        """Of Python and of the packages that a saved model depends on, as found when the environment was made."""
        return dict(self.facts.get("versions", {}))


def environments_root() -> Path:
    """`LOCKSTEP_ENVS`, else `envs/` in the data folder."""
    named = os.environ.get("LOCKSTEP_ENVS")
    return Path(named) if named else data_dir() / "envs"


def environment(library: Tool) -> Environment:
    """Its state from the files alone; nothing is started."""
    folder = environments_root() / library.name
    if not folder.is_dir():
        return Environment(library, folder, "absent")
    try:
        facts = json.loads((folder / STATE_FILE).read_text())
        whole = isinstance(facts["versions"], dict) and isinstance(facts["lock"], str)
    except (OSError, ValueError, KeyError, TypeError):
        return Environment(library, folder, "damaged")
    if not whole or not (folder / "bin" / "python").exists():
        return Environment(library, folder, "damaged", facts)
    state: State = "ready" if facts["lock"] == lock_digest(library) else "outdated"
    return Environment(library, folder, state, facts)


def ready_environment(library: Tool) -> Environment:
    """The environment, if it can be used; else one sentence with the command that makes it."""
    found = environment(library)
    command = f"toolkit model backends install {library.name}"
    if found.state == "absent":
        raise WorkerError(
            f"{library.title} needs an environment of its own, and there is none at {found.folder}; "
            f"make it (about {library.megabytes} MB) with: {command}"
        )
    if found.state != "ready":
        why = "was made from another lock file" if found.state == "outdated" else "is damaged"
        raise WorkerError(f"the environment of {library.title} at {found.folder} {why}; make it anew with: {command}")
    return found


def lock_digest(library: Tool) -> str:
    """sha256 (hex) of all that its lock names."""
    files = [library.lock, *([library.sources] if library.sources.exists() else [])]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def check_versions(place: Environment, made: Mapping[str, str], there: Mapping[str, str]) -> None:
    """`WorkerError` where a model was made under other versions than there are: they alone read its pickles."""
    differ = [
        f"{name} {made[name]} and not {there.get(name)}" for name in sorted(made) if made[name] != there.get(name)
    ]
    if differ:
        raise WorkerError(
            f"the {place.library.title} model was made under {', '.join(differ)}, its files are read by those versions "
            f"alone; train it again, or bring that environment back"
        )
