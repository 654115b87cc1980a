"""Files that appear whole or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_DRAFT = ".part"


@contextlib.contextmanager
def durable(path: Path) -> Iterator[BinaryIO]:
    """A binary file that is renamed to `path` once it is on disk; when the block raises, `path` is as it was."""
    # Two processes that write one path must not share a draft.
    draft = path.with_name(f".{path.name}.{os.getpid()}{_DRAFT}")
    try:
        with draft.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def is_draft(path: Path) -> bool:
    """Whether the file is one that `durable` was writing."""
    return path.name.startswith(".") and path.name.endswith(_DRAFT)
