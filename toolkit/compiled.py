"""How kernels are compiled: cached on disk under a hash of the sources, and without holding the GIL."""

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

from toolkit import kernel_cache

_F = TypeVar("_F", bound=Callable[..., Any])


def _compile(function: _F, **options: bool) -> _F:
    with kernel_cache.located(kernel_cache.toolkit_dir()):
        compiled: _F = njit(cache=True, nogil=True, **options)(function)  # type: ignore[call-overload]
    return compiled


def kernel(function: _F) -> _F:
    """Compile a function of the toolkit; the form for all but the engine's innermost.

    It counts references even where a borrowing caller compiles it first: numba would hand that caller's switch down and
    keep the result on disk, and the next caller would free an array that it was only lent.
    """
    return _compile(function, _nrt=True)


def inlined(function: _F) -> _F:
    """Compile a function into each of its callers, borrowing its arrays.

    The engine's innermost functions are small, pure and called for each event with NamedTuples of arrays. Two switches
    make that cheap: the body is inlined, and arrays are borrowed, not counted (no reference is taken or released;
    measured: 327 ns a step without, 13 ns with). Such a function may neither allocate an array nor return one that it
    was not given.
    """
    return _compile(function, forceinline=True, _nrt=False)


def expanded(function: _F) -> _F:
    """Compile a function into each of its callers; for views that it makes and returns (which nobody counts)."""
    return _compile(function, forceinline=True, _nrt=True)


def borrowing(function: _F) -> _F:
    """As `inlined`, but called: for loops that are long anyway."""
    return _compile(function, _nrt=False)
