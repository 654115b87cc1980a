"""As much of BentoML as a bento needs, so that what is Lockstep's is tested where BentoML is not installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Service:
    """What a class becomes."""

    def __init__(self, inner: type, config: dict[str, Any]) -> None:
        self.inner, self.config = inner, config
        self.middlewares: list[Any] = []

    def add_asgi_middleware(self, middleware: Any) -> None:
        self.middlewares.append(middleware)


def service(**config: Any) -> Callable[[type], Service]:
    """Decorator."""
    return lambda inner: Service(inner, config)


def asgi_app(app: Any) -> Callable[[type], type]:
    """Decorator."""

    def mounted(inner: type) -> type:
        inner.app = app  # type: ignore[attr-defined]
        return inner

    return mounted
