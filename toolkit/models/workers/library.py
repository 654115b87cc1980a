"""`Tool`, `Library`: what Lockstep knows of what runs in an environment of its own, before that is there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
HOST = HERE / "scripts" / "host.py"
# On every worker's PYTHONPATH: `sitecustomize` closes the way to the network in each process that it starts.
COMMON = HERE / "scripts" / "common"
# Of what goes into a worker and comes out; the host says the same number or is not believed.
CONTRACT = 2


@dataclass(frozen=True)
class Tool:
    """A row of facts about what has an environment of its own.

    Attributes
    ----------
    name : of its environment, its lock and its worker module. title : as a person reads it. licence : its own.
    megabytes : what its environment takes, about. packages : those whose versions count, its own first.
    pythons : versions that it runs on, the preferred first. variables : of its process, beside the usual ones.
    """

    name: str
    title: str
    licence: str
    megabytes: int
    packages: tuple[str, ...]
    pythons: tuple[str, ...] = ("3.11",)
    variables: Mapping[str, str] = field(default_factory=dict)
    folder: Path = HERE

    @property
    def lock(self) -> Path:
        """Requirements with hashes, complete, wheels alone."""
        return self.folder / "locks" / f"{self.name}.txt"

    @property
    def sources(self) -> Path:
        """Those of its packages that are published as sources alone; most libraries have no such file."""
        return self.folder / "locks" / f"{self.name}.sources.txt"

    @property
    def script(self) -> Path:
        """Its worker module, see `scripts/host.py`."""
        return self.folder / "scripts" / f"{self.name}_worker.py"


@dataclass(frozen=True)
class Library(Tool):
    """A tool that learns: a backend of its name, whose saved models depend on the versions of its `packages`.

    Attributes
    ----------
    settings : with their defaults. choices : what a setting (or each item of a list) must be among.
    least : the smallest value of a number. quick : settings of a fit that only shows that it works.
    repeats : equal seeds, data and settings give a model of equal predictions.
    peak_mb : memory of a fit with its resident worker, about.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    least: Mapping[str, int] = field(default_factory=dict)
    quick: Mapping[str, Any] = field(default_factory=dict)
    repeats: bool = True
    peak_mb: int = 1500
