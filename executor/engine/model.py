"""What decides whether an entry signal is taken."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from executor.deployments.judges import Judge, assigned, judges
from executor.engine.asking import Asked, InProcess, OpenModel, Opinion
from executor.engine.signals import Traded
from executor.ledger import Ledger
from toolkit.engine.types import ACCEPTED, UNANSWERED
from toolkit.types import FloatArray

_log = logging.getLogger(__name__)

# Features by name, as known when the entry is decided: float64[1, k].
See: TypeAlias = Callable[[Sequence[str]], FloatArray]

_DUE = "SELECT id FROM model_versions WHERE effective_ms IS NULL AND after_ms <= ? ORDER BY id"
_NEWEST = "SELECT max(id) FROM model_versions"


@dataclass(frozen=True)
class Verdict:
    """decision : ACCEPTED, VETOED, REJECTED or UNANSWERED (`toolkit.engine.types`). prediction : a probability, NaN =
    none. scale : what the size is multiplied by, 0 to 1. version : of the model that said so; None = no model.
    """

    decision: int = ACCEPTED
    prediction: float = float("nan")
    scale: float = 1.0
    version: str | None = None


class EntryModel(Protocol):
    """Asked at the close of a bar for each leg whose strategy enters there. Never raises."""

    def decide(self, instance: Traded, side: int, moment_ms: int, see: See) -> Verdict: ...

    def take_up(self, moment_ms: int) -> None:
        """A moment begins: versions that wait for it judge from now on. Called inside the event's transaction."""
        ...

    def prepare(self) -> None:
        """Read what waits; called between events, which must not wait for it."""
        ...

    def reload(self) -> None:
        """Read anew what there is to decide with."""
        ...

    def features_of(self, instance_id: str) -> tuple[str, ...]:
        """What is seen at an instance's entries, so that its windows hold enough."""
        ...


class AcceptAll(EntryModel):
    """Takes every entry signal."""

    def decide(self, instance: Traded, side: int, moment_ms: int, see: See) -> Verdict:
        return Verdict()

    def take_up(self, moment_ms: int) -> None:
        """There is none."""

    def prepare(self) -> None:
        """There is nothing to read."""

    def reload(self) -> None:
        """There is nothing to read."""

    def features_of(self, instance_id: str) -> tuple[str, ...]:
        return ()


class DeployedModels(EntryModel):
    """The models that a ledger's deployments name; which version judges whom from when is in the ledger.

    A version that cannot be read, fails or is late is a veto with a reason of its own, never a silent yes.

    Parameters
    ----------
    open_model : how a version is asked. deadline_secs : for the questions of one moment that get no answer, all
        together, so that a server that hangs costs the bar no more than this; None = none, for replays.
    """

    def __init__(
        self, ledger: Ledger, open_model: OpenModel = InProcess, *, deadline_secs: float | None = None
    ) -> None:
        self._ledger, self._open, self._deadline_secs = ledger, open_model, deadline_secs
        self._left_secs = deadline_secs
        self._known: dict[int, Asked | str] = {}
        self._silent: set[str] = set()
        self.reload()

    def reload(self) -> None:
        """Read from the ledger who judges whom now, and who waits to."""
        rows = judges(self._ledger)
        self._now = assigned(row for row in rows if row.effective_ms is not None)
        self._next = [row for row in rows if row.effective_ms is None]
        self._newest = max((row.id for row in rows), default=None)
        wanted = {row.id: row for row in (*self._now.values(), *self._next) if row.name}
        read = {k: asked for k, asked in self._known.items() if k in wanted and not isinstance(asked, str)}
        self._known = {k: read[k] if k in read else self._read(row) for k, row in wanted.items()}

    def prepare(self) -> None:
        if self._ledger.value(_NEWEST) != self._newest:
            self.reload()

    def take_up(self, moment_ms: int) -> None:
        self._left_secs = self._deadline_secs
        due = self._ledger.rows(_DUE, (moment_ms,))
        if due:
            for row in due:
                self._ledger.update("model_versions", {"id": row["id"]}, {"effective_ms": moment_ms})
            self.reload()
            names = sorted({judge.model for judge in self._now.values() if judge.effective_ms == moment_ms})
            self._notice("info", f"from now on entries are judged by {', '.join(names) or 'nobody'}")

    def features_of(self, instance_id: str) -> tuple[str, ...]:
        mine = [self._now[instance_id]] if instance_id in self._now else []
        mine += [row for row in self._next if instance_id in row.instances and row.name]
        seen = (self._known[row.id] for row in mine)
        return tuple(dict.fromkeys(name for one in seen if not isinstance(one, str) for name in one.features))

    def decide(self, instance: Traded, side: int, moment_ms: int, see: See) -> Verdict:
        judge = self._now.get(instance.instance_id)
        if judge is None:
            return Verdict()
        said = self._said(self._known[judge.id], see)
        if isinstance(said, str):
            _log.warning("%s gave no answer on %s: %s", judge.model, instance.instance_id, said)
            if judge.model not in self._silent:
                self._silent.add(judge.model)
                self._notice("warning", f"model {judge.model} gave no answer, what it judges is vetoed: {said}")
            return Verdict(UNANSWERED, float("nan"), 0.0, judge.model)
        if judge.model in self._silent:
            self._silent.discard(judge.model)
            self._notice("info", f"model {judge.model} answers again")
        return Verdict(said.verdict, said.prediction, said.scale, judge.model)

    def _said(self, asked: Asked | str, see: See) -> Opinion | str:
        if isinstance(asked, str):
            return asked
        if self._left_secs is not None and self._left_secs <= 0:
            return f"it was not asked: others had taken all of {self._deadline_secs:g} s at this moment"
        began = time.monotonic()
        said: Opinion | str
        try:
            said = asked.ask(see(asked.features), self._left_secs)
        except Exception as error:
            said = str(error) or type(error).__name__
        if isinstance(said, str) and self._left_secs is not None:
            self._left_secs -= time.monotonic() - began
        return said

    def _read(self, judge: Judge) -> Asked | str:
        try:
            return self._open(judge)
        except Exception as error:
            _log.error("model %s cannot be used: %s", judge.model, error)
            if judge.model not in self._silent:
                self._silent.add(judge.model)
                self._notice("error", f"model {judge.model} gave no answer, what it judges is vetoed: {error}")
            return str(error) or type(error).__name__

    def _notice(self, level: str, text: str) -> None:
        self._ledger.insert("notices", {
            "ts_ms": time.time_ns() // 1_000_000, "level": level, "kind": "model", "text": text,
        })  # fmt: skip
