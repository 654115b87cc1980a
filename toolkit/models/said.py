"""`Said`: what models say of every member's raw entries, with the names of the versions that said so."""

from collections.abc import Mapping
from dataclasses import dataclass

from toolkit.engine.types import Judged


@dataclass(frozen=True, eq=False)
class Said:
    """Judgements of an account's members.

    Attributes
    ----------
    judged : by instance id and side; who is not there is always accepted. `Judged.versions` index `versions`.
    versions : names, as the columns `model_version` show them.
    """

    judged: Mapping[str, Mapping[int, Judged]]
    versions: tuple[str, ...]
