"""The models that are served: the newest version of each, found again when the registry has a newer one."""

import contextlib
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from toolkit.errors import LockstepError, UnknownNameError
from toolkit.models.serve.desk import Desk, UnavailableError
from toolkit.models.store import ModelInfo, check_name, read_info, read_model, versions_of
from toolkit.models.trained import Trained

KEPT_OLDER = 64
RETRY_SECS = 30.0
# A worker that starts or loads for longer goes on, and is looked at again.
WARM_SECS = 10.0
# A folder that changed so lately may change again without its time saying so.
_SETTLED_NS = 2_000_000_000


class Served(NamedTuple):
    """A model that is loaded, and where it is asked."""

    info: ModelInfo
    trained: Trained
    desk: Desk


class Shelf:
    """Loaded models. `refresh`, `tend` and `load` may run in any thread; `loaded` and `retire` in the one that asks
    desks.

    Parameters
    ----------
    root : the registry. only : the one model that is served, as `name` or `name@version`; None = all that there are.
    """

    def __init__(self, root: Path, only: str | None = None) -> None:
        self._root = root
        self._only, _, self._version = (only or "").partition("@")
        self._newest: dict[str, Served] = {}
        self._older: OrderedDict[tuple[str, str], Served] = OrderedDict()
        self._retired: list[Served] = []
        self._stamps: dict[str, int] = {}
        self._tried: dict[str, float] = {}
        self._lock = threading.Lock()
        self._broken: dict[str, str] = {}
        self._ailing: dict[str, str] = {}
        self._warmed: dict[str, int | None] = {}

    @property
    def problems(self) -> dict[str, str]:
        """What cannot be served, by name, in a sentence each."""
        return {**self._ailing, **self._broken}

    def refresh(self) -> None:
        """Load what is new and forget what is gone; a version that cannot be read is a problem, and the one before it
        stays. Where the registry itself cannot be read, everything stays.
        """
        with self._lock:
            names = self._names()
            if names is None:
                return
            for name, stamp in names.items():
                waited = time.monotonic() - self._tried.get(name, 0.0) > RETRY_SECS
                if self._stamps.get(name) == stamp and not (name in self._broken and waited):
                    continue
                self._stamps[name] = stamp if time.time_ns() - stamp > _SETTLED_NS else 0
                self._load_newest(name)
            for name in [name for name in self._stamps if name not in names]:
                # One that comes back has the time that it had.
                del self._stamps[name]
                self._broken.pop(name, None)
                if name in self._newest:
                    self._retired.append(self._newest.pop(name))

    def tend(self) -> None:
        """Start the processes that have died since the last time, and let them load their models, before somebody waits
        for them; a model whose process cannot be started is a problem, and is tried again the next time.
        """
        newest = dict(self._newest)
        for name in {*self._warmed, *self._ailing} - set(newest):
            self._warmed.pop(name, None)
            self._ailing.pop(name, None)
        for name, served in newest.items():
            model: Any = served.trained.model
            if not hasattr(model, "worker"):
                continue
            try:
                pid = model.worker().pid
                if pid is None or pid != self._warmed.get(name):
                    model.warm(WARM_SECS)
                    self._warmed[name] = model.worker().pid
            except Exception as error:
                self._ailing[name] = _told(f"model {served.info.id} cannot be asked", error)
            else:
                self._ailing.pop(name, None)

    def workers(self) -> list[dict[str, Any]]:
        """Processes that models of the newest versions answer from: library, process, memory, how many of them."""
        found: dict[tuple[str, int | None], dict[str, Any]] = {}
        for served in list(self._newest.values()):
            model: Any = served.trained.model
            if not hasattr(model, "worker"):
                continue
            with contextlib.suppress(LockstepError):
                state = model.worker()
                row = found.setdefault((state.library, state.pid), {**state._asdict(), "models": 0})
                row["models"] += 1
        return sorted(found.values(), key=lambda row: str(row["library"]))

    def loaded(self, name: str, version: str = "") -> Served | None:
        """A model that is there already; version "" = the newest."""
        newest = self._newest.get(name)
        if newest is not None and version in ("", newest.info.version):
            return newest
        return self._older.get((name, version))

    def load(self, name: str, version: str) -> Served:
        """A version that is not the newest, read if need be; the last 64 stay.

        Raises
        ------
        UnknownNameError : it is not served, or there is no such version. InputError : its bundle cannot be used.
        """
        with self._lock:
            if name not in self._newest or (self._version and version != self._version):
                raise self.unknown(name)
            found = self.loaded(name, version)
            if found is None:
                there = {folder.name: folder for folder in versions_of(name, self._root)}
                if version not in there:
                    raise UnknownNameError(f"version of model {name}", version[:100], there)
                found = _read(there[version], name)
                self._keep(found)
            return found

    def unknown(self, name: str) -> LockstepError:
        """The error for a model that is not served."""
        if name in self.problems:
            return UnavailableError(self.problems[name])
        return UnknownNameError("model", name[:100], self._newest, "`GET /models` lists what is served")

    def retire(self) -> None:
        """Close the desks of models that nobody can find any more."""
        while self._retired:
            self._retired.pop().desk.close()

    def tables(self) -> list[dict[str, Any]]:
        """What each newest model is, for `GET /models`."""
        return [_table(served.info) for _, served in sorted(self._newest.items())]

    def __len__(self) -> int:
        return len(self._newest)

    def _names(self) -> dict[str, int] | None:
        """Names that may have models, each with the moment at which a version was last added or taken away; None where
        the registry cannot be read, which is a problem under its folder's name, if something was served from it.
        """
        self._broken.pop(str(self._root), None)
        try:
            with os.scandir(self._root) as entries:
                return {
                    entry.name: entry.stat().st_mtime_ns
                    for entry in entries
                    if not entry.name.startswith(".") and self._only in ("", entry.name) and entry.is_dir()
                }
        except OSError as error:
            if self._newest or not isinstance(error, FileNotFoundError):
                self._broken[str(self._root)] = (
                    f"the registry {self._root} cannot be read: {error.strerror}; what was loaded is served"
                )
            return None

    def _load_newest(self, name: str) -> None:
        self._tried[name] = time.monotonic()
        self._broken.pop(name, None)
        there = self._newest.get(name)
        candidates: Iterable[Path] = reversed(versions_of(name, self._root))
        for folder in candidates:
            if self._version not in ("", folder.name):
                continue
            if there is not None and there.info.version == folder.name:
                return
            try:
                found = _read(folder, name)
            except Exception as error:
                # Whatever a backend raises over its files, the other models are served.
                self._broken.setdefault(name, _told(f"{folder} cannot be loaded", error))
            else:
                self._newest[name] = found
                if there is not None:
                    self._keep(there)
                return

    def _keep(self, served: Served) -> None:
        self._older[(served.info.name, served.info.version)] = served
        while len(self._older) > KEPT_OLDER:
            self._retired.append(self._older.popitem(last=False)[1])


def _read(folder: Path, name: str) -> Served:
    trained, info = read_model(folder), read_info(folder)
    check_name(info, name)
    model: Any = trained.model
    # One that answers from a process of its own takes seconds to start; nobody's deadline is to pay for them.
    if hasattr(model, "warm"):
        model.warm()
    return Served(info, trained, Desk(info.id, trained))


def _told(what: str, error: Exception) -> str:
    """One sentence; Lockstep's own errors are one."""
    if isinstance(error, LockstepError):
        return str(error)
    return f"{what}: {type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _table(info: ModelInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "version": info.version,
        "checksum": info.checksum,
        "saved_ms": info.saved_ms,
        "backend": info.backend,
        "application": info.application.method,
        "from_ms": info.from_ms,
        "until_ms": info.until_ms,
        "features": list(info.features),
        "scores": info.facts["scores"],
    }
