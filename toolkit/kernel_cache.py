"""Where numba keeps compiled code: a folder named by a hash of every source that compiled code can come from.

numba's own on-disk cache looks at the file of the function that is called and not at the files of the functions that
it calls, so an edited helper would go on running in its old form. Here an edit names another folder, and what may call
the edited code is compiled anew: an edit of the toolkit everything, an edit of a strategy the strategies alone.
"""

import contextlib
import hashlib
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

# When a new folder is made, those of its kind that were not used for so long are deleted; the newest stay anyway.
KEPT_FOLDERS, KEPT_SECS = 8, 7 * 86_400
# Rooms whose sources no compiled code comes from, and which no kernel imports.
WITHOUT_KERNELS = ("cli", "models")
_TOOLKIT = Path(__file__).parent


def cache_root() -> Path:
    """`LOCKSTEP_CACHE_DIR`, else the user's cache folder."""
    named = os.environ.get("LOCKSTEP_CACHE_DIR")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lockstep" / "kernels"


def toolkit_files() -> list[Path]:
    """Every source of the toolkit but those of the rooms that hold no compiled code."""
    aside = {_TOOLKIT / name for name in WITHOUT_KERNELS}
    return sorted(f for f in _TOOLKIT.rglob("*.py") if aside.isdisjoint(f.parents))


def source_files(modules: Iterable[str]) -> list[Path]:
    """The toolkit's sources and those of the top-level packages that the named modules belong to.

    A strategy may call kernels from anywhere in its package; one that is a single file, from the files beside it.
    """
    files = set(toolkit_files())
    for name in {module.partition(".")[0] for module in modules}:
        with contextlib.suppress(ImportError, ValueError):
            spec = find_spec(name)
            if spec is None:
                continue
            if spec.submodule_search_locations:
                files |= {f for folder in spec.submodule_search_locations for f in Path(folder).rglob("*.py")}
            elif spec.origin:
                files |= set(Path(spec.origin).parent.glob("*.py"))
    return sorted(f.resolve() for f in files)


def source_hash(files: Iterable[Path]) -> str:
    """Hex digest over sources, compiler versions and processor: what decides the compiled code."""
    digest = hashlib.sha256()
    versions = (sys.version, version("numba"), version("llvmlite"), version("numpy"), platform.machine())
    digest.update(repr(versions).encode())
    for file in files:
        digest.update(file.name.encode() + b"\0")
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


@cache
def toolkit_dir() -> Path:
    """Folder of the toolkit's own compiled code."""
    return folder_of("toolkit", toolkit_files())


def folder_of(kind: str, files: Iterable[Path]) -> Path:
    """Folder of the compiled code that comes from these sources; the newest of a kind and those of a week are kept."""
    return _used(cache_root() / f"{kind}-{source_hash(files)}")


def activate(modules: Iterable[str]) -> Path:
    """Point numba at the folder of these strategy modules, for functions decorated from now on."""
    folder = folder_of("strategies", source_files(modules))
    _point(str(folder))
    return folder


@contextlib.contextmanager
def located(folder: Path) -> Iterator[None]:
    """Functions decorated in this block keep their compiled code in `folder`."""
    before = os.environ.get("NUMBA_CACHE_DIR", "")
    _point(str(folder))
    try:
        yield
    finally:
        _point(before)


def _point(folder: str) -> None:
    # numba reads the variable when it is imported; importing it here would cost `toolkit --help` half a second.
    os.environ["NUMBA_CACHE_DIR"] = folder
    if "numba" in sys.modules:
        sys.modules["numba"].config.CACHE_DIR = folder


def _used(folder: Path) -> Path:
    """The folder, made where it is new (old ones of its kind are forgotten then) and marked as used."""
    with contextlib.suppress(OSError):
        if folder.exists():
            os.utime(folder)
        else:
            folder.mkdir(parents=True)
            kind = folder.name.partition("-")[0]
            kept = sorted(folder.parent.glob(f"{kind}-*"), key=lambda f: f.stat().st_mtime, reverse=True)
            for old in kept[KEPT_FOLDERS:]:
                # Another process may be using it: deployed versions and tests make many.
                if time.time() - old.stat().st_mtime > KEPT_SECS:
                    shutil.rmtree(old, ignore_errors=True)
    return folder
