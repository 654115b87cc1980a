"""What decides whether an entry signal is taken."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from executor.engine.signals import Traded
from executor.ledger import Ledger
from executor.ledger.ledger import Row
from toolkit.engine.types import ACCEPTED, UNANSWERED
from toolkit.errors import LockstepError
from toolkit.types import FloatArray

_log = logging.getLogger(__name__)

# Features by name, as known when the entry is decided: float64[1, k].
See: TypeAlias = Callable[[Sequence[str]], FloatArray]

_OF = "SELECT id, model FROM instances WHERE model IS NOT NULL"
_HELD = "SELECT id, name, version, checksum, folder, effective_ms FROM model_versions ORDER BY effective_ms, id"
_WAITING = "SELECT id FROM model_versions WHERE effective_ms IS NULL ORDER BY id"


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
        """Let versions that wait hold from this moment on; called inside the event's transaction."""
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

    def reload(self) -> None:
        """There is nothing to read."""

    def features_of(self, instance_id: str) -> tuple[str, ...]:
        return ()


class Asked(Protocol):
    """A model that can be asked, in this process or elsewhere."""

    @property
    def features(self) -> tuple[str, ...]:
        """What it must be shown, in this order."""
        ...

    def ask(self, x: FloatArray) -> "tuple[int, float, float] | str":
        """Verdict, prediction and scale for float64[1, k] raw features, or why there is no answer."""
        ...


# A version of a model from its bundle's folder.
OpenModel: TypeAlias = Callable[[Path, str], Asked]


class InProcess:
    """A bundle that was read into this process."""

    def __init__(self, folder: Path, checksum: str) -> None:
        from toolkit.models.store import read_model

        trained = read_model(folder)
        if trained.facts.get("checksum") != checksum:
            raise LockstepError(f"model {folder} is not the one that was deployed; copy that one back, or deploy anew")
        self._trained = trained

    @property
    def features(self) -> tuple[str, ...]:
        return self._trained.features

    def ask(self, x: FloatArray) -> "tuple[int, float, float] | str":
        prediction = self._trained.predict(x)
        verdicts, scales = self._trained.application.say(prediction)
        return int(verdicts[0]), float(prediction[0]), float(scales[0])


@dataclass(frozen=True)
class Held:
    """A version that holds from a moment on."""

    id: str
    from_ms: int
    model: Asked | None
    why_not: str = ""


class DeployedModels(EntryModel):
    """The models that a ledger's deployments name; which version holds when is in the ledger.

    A version that cannot be read or asked is a veto, recorded with its reason, never a silent yes.
    """

    def __init__(self, ledger: Ledger, open_model: OpenModel = InProcess) -> None:
        self._ledger, self._open = ledger, open_model
        self._known: dict[int, Held] = {}
        self.reload()

    def reload(self) -> None:
        """Read from the ledger whose entries are judged, and by what."""
        self._of = {row["id"]: row["model"] for row in self._ledger.rows(_OF)}
        self._held: dict[str, list[Held]] = {}
        wanted = set(self._of.values())
        for row in self._ledger.rows(_HELD):
            if row["effective_ms"] is not None and row["name"] in wanted:
                if row["id"] not in self._known:
                    self._known[row["id"]] = self._read(row)
                self._held.setdefault(row["name"], []).append(self._known[row["id"]])

    def versions(self) -> Mapping[str, Sequence[Held]]:
        """By the model's name, ascending by the moment that they hold from."""
        return self._held

    def judges(self, instance_id: str) -> str | None:
        """Name of the model that judges an instance's entries."""
        return self._of.get(instance_id)

    def features_of(self, instance_id: str) -> tuple[str, ...]:
        held = self._held.get(self._of.get(instance_id, ""), ())
        return tuple(dict.fromkeys(name for one in held if one.model is not None for name in one.model.features))

    def take_up(self, moment_ms: int) -> None:
        waiting = self._ledger.rows(_WAITING)
        if not waiting:
            return
        for row in waiting:
            self._ledger.update("model_versions", {"id": row["id"]}, {"effective_ms": moment_ms})
        self.reload()
        _log.info("newer models hold from now on")

    def decide(self, instance: Traded, side: int, moment_ms: int, see: See) -> Verdict:
        name = self._of.get(instance.instance_id)
        if name is None:
            return Verdict()
        held = next((one for one in reversed(self._held.get(name, ())) if one.from_ms <= moment_ms), None)
        if held is None:
            return Verdict()
        if held.model is None:
            return self._unanswered(held, held.why_not, instance)
        try:
            said = held.model.ask(see(held.model.features))
        except Exception as error:
            return self._unanswered(held, str(error), instance)
        if isinstance(said, str):
            return self._unanswered(held, said, instance)
        decision, prediction, scale = said
        return Verdict(decision, prediction, scale, held.id)

    def _unanswered(self, held: Held, why: str, instance: Traded) -> Verdict:
        _log.warning("%s gave no answer on %s: %s", held.id, instance.instance_id, why)
        text = f"model {held.id} gave no answer on {instance.instance_id}, its entry is vetoed: {why}"
        self._ledger.insert("notices", {
            "ts_ms": time.time_ns() // 1_000_000, "level": "warning", "kind": "model", "text": text,
        })  # fmt: skip
        return Verdict(UNANSWERED, float("nan"), 0.0, held.id)

    def _read(self, row: Row) -> Held:
        name = f"{row['name']}@{row['version']}"
        try:
            return Held(name, row["effective_ms"], self._open(Path(row["folder"]), row["checksum"]))
        except Exception as error:
            _log.error("model %s cannot be used: %s", name, error)
            return Held(name, row["effective_ms"], None, str(error))
