"""What is kept of each group while the rest are still worked on: one file a group, whole or not at all."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

import numpy as np

from toolkit.durable import durable
from toolkit.errors import RunError

_FACTS = "facts"


@dataclass(frozen=True, eq=False)
class Part:
    """What came of one task.

    facts : as JSON can hold it, NaN included. arrays : numbers by name. error : why there is nothing, "" if there is.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    error: str = ""


def part_file(folder: Path, number: int) -> Path:
    return folder / f"{number:08d}.npz"


def write_part(file: Path, part: Part) -> None:
    """Write one part; it is there whole or not at all. `RunError` where it cannot be written."""
    columns: dict[str, Any] = {f"array_{name}": array for name, array in part.arrays.items()}
    columns[_FACTS] = np.array(json.dumps({"facts": part.facts, "error": part.error}))
    try:
        with durable(file) as out:
            np.savez(out, **columns)
    except OSError as error:
        raise RunError(
            f"{file.name} cannot be written in {file.parent}: {error.strerror}; make room, or point LOCKSTEP_DATA to "
            f"another folder (what is finished is kept for --resume)"
        ) from error


def read_part(file: Path) -> Part:
    """A part as it was written; `RunError` where it cannot be read."""
    try:
        with np.load(file, allow_pickle=False) as found:
            known = json.loads(str(found[_FACTS]))
            arrays = {name.removeprefix("array_"): found[name] for name in found.files if name != _FACTS}
    except (OSError, ValueError, KeyError) as error:
        raise RunError(f"{file} cannot be read: {error}; delete it, and it is made again") from None
    return Part(known["facts"], arrays, known["error"])


def is_failure(file: Path) -> bool:
    """Whether a part is a failure's, or cannot be read."""
    try:
        with np.load(file, allow_pickle=False) as found:
            return bool(json.loads(str(found[_FACTS]))["error"])
    except (OSError, ValueError, KeyError):
        return True


class Parts(Sequence[Part]):
    """Parts in the order of their numbers, read when they are asked for: all at once may be more than memory holds."""

    def __init__(self, folder: Path, numbers: Sequence[int]) -> None:
        self._folder, self._numbers = folder, tuple(numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, place: int) -> Part: ...
    @overload
    def __getitem__(self, place: slice) -> "Parts": ...
    def __getitem__(self, place: int | slice) -> "Part | Parts":
        if isinstance(place, slice):
            return Parts(self._folder, self._numbers[place])
        return read_part(part_file(self._folder, self._numbers[place]))
