"""Run a server until it is stopped."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import FrameType

import uvicorn

from restore.errors import RestoreError, UsageError
from restore.serve.app import application
from restore.serve.guard import Access, is_loopback
from restore.serve.service import Service

__all__ = ["Address", "serve"]

_SHORTEST = 16  # characters of a token that others can try
_CONNECTIONS = 512
_ALL = {"0.0.0.0", "::"}  # noqa: S104 - compared with
"""Hosts that mean all addresses of a machine; nobody calls a server by them."""


@dataclass(frozen=True)
class Address:
    """Where a server listens, and how it may be called.

    Raises:
        UsageError: other machines can reach it and there is no token, or one that can be guessed; or it has
            no host name.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    allowed_hosts: Sequence[str] = ()
    """Names by which it may be called besides the host, such as that of a proxy."""
    token: str = ""

    def __post_init__(self) -> None:
        """Refuse what would be open to everybody."""
        others = [name for name in (self.host, *self.allowed_hosts) if not is_loopback(name)]
        if others and len(self.token) < _SHORTEST:
            raise UsageError(
                f"other machines can reach {others[0]}, so a token of {_SHORTEST} characters is needed",
                hint="set `token`, such as to the output of: openssl rand -hex 16",
            )
        if not self.access.hosts:
            raise UsageError(
                f"a server on all addresses ({self.host}) needs a host name",
                hint="set `allowed_host` to the name or address that clients use",
            )

    @property
    def access(self) -> Access:
        """Who may use it."""
        own = {"localhost", "127.0.0.1", "::1"} if is_loopback(self.host) else set[str]()
        names = {*own, self.host, *self.allowed_hosts} - _ALL
        return Access({name.lower() for name in names}, self.token)

    @property
    def shown(self) -> str:
        """The host in the address of the page."""
        host = next(name for name in (self.host, *self.allowed_hosts) if name not in _ALL)
        return f"[{host}]" if ":" in host else host

    def listen(self) -> socket.socket:
        """Begin to listen.

        Raises:
            RestoreError: the port is in use, or the address is not one of this machine.
        """
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            return socket.create_server((self.host, self.port), family=family, backlog=2048)
        except OSError as error:
            raise RestoreError(
                f"cannot listen on {self.host}:{self.port}: {error.strerror or error}",
                hint="set `port` to another number, or to 0 for any that is free",
            ) from error


def serve(service: Service, address: Address, ready: Callable[[str], None] = lambda _: None) -> None:
    """Answer requests until the process is told to stop.

    On SIGTERM or SIGINT nothing new is accepted and jobs that wait are canceled; requests that are being
    answered have the time of grace to finish.

    Args:
        service: what does the work.
        address: where to listen.
        ready: called with the address of the page.

    Raises:
        RestoreError: the address is in use.
    """
    with address.listen() as listening, _termination(), service:
        port = listening.getsockname()[1]
        config = uvicorn.Config(
            application(service, address.access),
            log_level="warning",
            access_log=False,
            server_header=False,
            ws="none",
            lifespan="on",
            limit_concurrency=_CONNECTIONS,
            timeout_graceful_shutdown=max(1, round(service.limits.grace_seconds)),
        )
        _Server(config, service, partial(ready, f"http://{address.shown}:{port}/")).run(sockets=[listening])


@contextmanager
def _termination() -> Iterator[None]:
    """Have SIGTERM end the block as an exception, so that the folder of the service is removed.

    uvicorn handles the signal, and raises it again for whoever handled it before.
    """

    def end(_: int, __: FrameType | None) -> None:
        raise SystemExit(0)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Server(uvicorn.Server):
    """Says when it answers, and ends event streams and refuses jobs as soon as it is told to stop."""

    def __init__(self, config: uvicorn.Config, service: Service, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._service, self._ready = service, ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to answer; whoever is told so may stop the server at once, since signals are handled now."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop; a signal handler must not wait for locks itself."""
        threading.Thread(target=self._service.jobs.stop, name="restore-stopping").start()
        super().handle_exit(sig, frame)
