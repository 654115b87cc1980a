"""Who judges whose entries from when: the rows of `model_versions`, which are only ever added."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from executor.ledger import Ledger
from executor.ledger.ledger import Row

# In the order in which they take over.
_ROWS = """
SELECT id, name, version, checksum, folder, instances, after_ms, effective_ms FROM model_versions
ORDER BY effective_ms IS NULL, effective_ms, after_ms, id
"""


@dataclass(frozen=True)
class Judge:
    """A version of a model, and whose entries it judges from a moment on.

    Attributes
    ----------
    name : "" = from then on nobody judges the instances. after_ms : it is not taken up before.
    effective_ms : moment of the event that took it up; 0 = from the first one on, None = it waits.
    """

    id: int
    name: str
    version: str
    checksum: str
    folder: Path
    instances: tuple[str, ...]
    after_ms: int
    effective_ms: int | None

    @property
    def model(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"


def judges(ledger: Ledger) -> list[Judge]:
    """Every one, in the order in which they took over; those that wait are last."""
    return [_judge(row) for row in ledger.rows(_ROWS)]


def assigned(rows: Iterable[Judge]) -> dict[str, Judge]:
    """The last judge of each instance; who has none is not in it."""
    found = {name: row for row in rows for name in row.instances}
    return {name: row for name, row in found.items() if row.name}


def _judge(row: Row) -> Judge:
    return Judge(
        row["id"], row["name"], row["version"], row["checksum"], Path(row["folder"]),
        tuple(json.loads(row["instances"])), row["after_ms"], row["effective_ms"],
    )  # fmt: skip
