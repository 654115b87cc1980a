"""One thread a fit: small fits are two to three times faster so, and a pool of processes shares the cores."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_thread() -> Iterator[None]:
    """BLAS and OpenMP use one thread in this block."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield
