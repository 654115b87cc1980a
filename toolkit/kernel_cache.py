"""Where numba keeps compiled code: a folder named by a hash of every source that compiled code can come from.

numba's own on-disk cache looks at the file of the function that is called and not at the files of the functions that
it calls, so an edited helper would go on running in its old form. Here an edit to any toolkit or strategy source names
another folder, and everything is compiled anew.
"""

import contextlib
import hashlib
import os
import platform
import shutil
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

# How many hashed folders are kept; older ones are deleted when a new one is made.
KEPT_FOLDERS = 8
_TOOLKIT = Path(__file__).parent


def cache_root() -> Path:
    """`LOCKSTEP_CACHE_DIR`, else the user's cache folder."""
    named = os.environ.get("LOCKSTEP_CACHE_DIR")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lockstep" / "kernels"


def source_files(modules: Iterable[str]) -> list[Path]:
    """Every `.py` file of the toolkit and of the top-level packages that the named modules belong to.

    A strategy may call kernels from anywhere in its package; one that is a single file, from the files beside it.
    """
    files = set(_TOOLKIT.rglob("*.py"))
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


def source_hash(modules: Iterable[str]) -> str:
    """Hex digest over sources, compiler versions and processor: what decides the compiled code."""
    digest = hashlib.sha256()
    versions = (sys.version, version("numba"), version("llvmlite"), version("numpy"), platform.machine())
    digest.update(repr(versions).encode())
    for file in source_files(modules):
        digest.update(file.name.encode() + b"\0")
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def cache_dir(modules: Iterable[str]) -> Path:
    return cache_root() / source_hash(modules)


def activate(modules: Iterable[str]) -> Path:
    """Point numba at the folder of these sources, for functions decorated from now on."""
    folder = cache_dir(modules)
    _point(str(folder))
    if not folder.exists():
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            _forget_old(folder.parent)
    else:
        with contextlib.suppress(OSError):
            os.utime(folder)
    return folder


@contextlib.contextmanager
def keyed_by(modules: Iterable[str]) -> Iterator[Path]:
    """`activate` for the length of a block that imports those modules."""
    before = os.environ.get("NUMBA_CACHE_DIR", "")
    try:
        yield activate(modules)
    finally:
        _point(before)


def _point(folder: str) -> None:
    # numba reads the variable when it is imported; importing it here would cost `toolkit --help` half a second.
    os.environ["NUMBA_CACHE_DIR"] = folder
    if "numba" in sys.modules:
        sys.modules["numba"].config.CACHE_DIR = folder


def _forget_old(root: Path) -> None:
    folders = sorted((f for f in root.iterdir() if f.is_dir()), key=lambda f: f.stat().st_mtime, reverse=True)
    for folder in folders[KEPT_FOLDERS:]:
        shutil.rmtree(folder, ignore_errors=True)
