"""What the API needs to know of a configuration."""

from dataclasses import dataclass
from typing import Protocol

DEFAULT_PORT = 8787


class ApiSettings(Protocol):
    """Any configuration that has these fields will do; `ApiConfig` is the smallest one."""

    @property
    def api_host(self) -> str: ...

    @property
    def api_port(self) -> int: ...

    @property
    def api_write(self) -> bool: ...


@dataclass(frozen=True)
class ApiConfig:
    """Where the API listens, and whether it takes commands.

    api_host : loopback unless named: the API speaks plain HTTP, so another machine comes through a tunnel or a proxy.
    api_port : 0 takes a free one. api_write : POST /commands is answered.
    """

    api_host: str = "127.0.0.1"
    api_port: int = DEFAULT_PORT
    api_write: bool = False
