"""Groups whose bars are loaded together, and how a worker process loads them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from toolkit.models.groups import Group
from toolkit.models.pool import Item, Task
from toolkit.portfolio.loading import LoadedMember, load_members
from toolkit.portfolio.members import Member

# More members in one process share more bars; fewer leave more processes something to do.
_MOST_MEMBERS = 64
Series = tuple[str, str | None, str | None, str]


@dataclass(frozen=True)
class Loading:
    """How members are loaded.

    Attributes
    ----------
    start_ms, end_ms : first moment traded, first left out (epoch ms). db : the bars database, in the data folder unless
        named. modules : Python modules that hold strategies, default as in pyproject.toml.
    """

    start_ms: int
    end_ms: int
    db: Path | None = None
    modules: tuple[str, ...] | None = None

    def members(self, groups: Sequence[Group], features: Sequence[str] = ()) -> dict[str, list[LoadedMember]]:
        """The members of each group, by its name, with the history that features need; see `loading.load_members`."""
        asked = [member for group in groups for member in group.members]
        found = load_members(
            asked, start=self.start_ms, end=self.end_ms, db=self.db, strategies=self.modules, features=features, jobs=1
        )  # fmt: skip
        loaded = iter(found)
        return {group.name: [next(loaded) for _ in group.members] for group in groups}


def batches_of(groups: Sequence[Group], jobs: int) -> list[list[Task[Group]]]:
    """Groups that trade the same series side by side, in batches for `jobs` processes.

    What comes of a group does not depend on those beside it, so neither do results on `jobs`.
    """
    alike: dict[frozenset[Series], list[Task[Group]]] = {}
    for number, group in enumerate(groups):
        alike.setdefault(frozenset(map(_series, group.members)), []).append(Task(number, group.name, group))
    total = sum(len(group.members) for group in groups)
    most = max(1, min(_MOST_MEMBERS, -(-total // (2 * jobs))))
    return [batch for tasks in alike.values() for batch in _cut(tasks, most)]


def dealt(tasks: Sequence[Task[Item]], hands: int) -> list[list[Task[Item]]]:
    """Tasks in runs, one for each of so many processes."""
    size = max(1, -(-len(tasks) // max(1, hands)))
    return [list(tasks[k : k + size]) for k in range(0, len(tasks), size)]


def seed_of(seed: int, *names: str | int) -> int:
    """A seed for a named part of the work, the same wherever and whenever it is done."""
    digest = hashlib.sha256("\0".join(map(str, (seed, *names))).encode()).digest()
    return int.from_bytes(digest[:4], "big")


def _series(member: Member) -> Series:
    return member.symbol, member.exchange, member.base, member.interval


def _cut(tasks: Sequence[Task[Group]], most: int) -> list[list[Task[Group]]]:
    """Runs of tasks with at most so many members, or one task with more."""
    batches: list[list[Task[Group]]] = []
    count = most
    for task in tasks:
        size = len(task.item.members)
        if count + size > most:
            batches.append([])
            count = 0
        batches[-1].append(task)
        count += size
    return batches
