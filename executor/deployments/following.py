"""Versions that the cron entry trained: `toolkit model train --due` saves them, the daemon takes them up."""

import logging
import time
from pathlib import Path

from executor.deployments.judges import assigned, judges
from executor.deployments.models import load_version
from executor.ledger import Ledger
from executor.sessions import notice
from toolkit.errors import LockstepError
from toolkit.models.store import models_dir, read_info, versions_of

_EVERY_SECS = 30.0
# What `--due` writes into a bundle's facts: the moment from which it judges. Other versions are for people to load.
_HOLDS_FROM = "holds_from_ms"
_log = logging.getLogger(__name__)


class Following:
    """Looks into the registry, now and then, for newer versions of the models that judge a ledger's instances."""

    def __init__(self, ledger: Ledger, root: Path | None = None) -> None:
        self._ledger, self._root = ledger, root
        self._looked = -_EVERY_SECS
        self._refused: set[Path] = set()

    def tick(self) -> None:
        """Look, where it is time to."""
        now = time.monotonic()
        if now - self._looked >= _EVERY_SECS:
            self._looked = now
            self.look()

    def look(self) -> None:
        """Let the newest version of each model that `--due` trained wait for its moment."""
        held = {judge.name: judge.version for judge in assigned(judges(self._ledger)).values()}
        for name, version in sorted(held.items()):
            kept = versions_of(name, self._root or models_dir())
            # By the cut-off of their training; one that is in a deployment's bundle alone has its place among them.
            newer = [folder for folder in kept if folder.name.partition("-")[0] > version.partition("-")[0]]
            for folder in reversed(newer):
                if folder not in self._refused and self._take(folder):
                    break

    def _take(self, folder: Path) -> bool:
        """Whether it is of `--due`, and now waits for its moment."""
        try:
            after_ms = read_info(folder).facts.get(_HOLDS_FROM)
            if after_ms is None:
                self._refused.add(folder)
                return False
            found = load_version(self._ledger, folder, after_ms=int(after_ms))
        except (LockstepError, TypeError, ValueError) as error:
            self._refused.add(folder)
            text = f"the newer model in {folder} is not taken up: {error}"
            _log.error(text)
            notice(self._ledger, "warning", "model", text, time.time_ns() // 1_000_000)
            return False
        _log.info("model %s was trained, and judges from its moment on", found)
        return True
