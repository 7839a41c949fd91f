"""Access control: check Host, Origin and token of requests, and add security headers to responses."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from restore.serve.problems import Problem, response

__all__ = ["COOKIE", "Access", "Guard", "is_loopback"]

COOKIE = "restore_session"

_OPEN = ("/api/health", "/api/session")
"""Paths below /api/ that need no token."""

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; frame-src 'self'; manifest-src 'self'; form-action 'none'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


def is_loopback(host: str) -> bool:
    """Return whether an address can be reached from this machine only.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0"), is_loopback("127.example")
    (True, True, False, False)
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name
        return host.lower() == "localhost"


@dataclass(frozen=True)
class Access:
    """Decide which requests a server accepts.

    Args:
        hosts: names by which it may be called, without ports.
        token: what clients must know; empty if there is none.
    """

    hosts: Collection[str]
    token: str = ""
    session: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    """The value of the cookie that the page gets for the token."""

    def knows(self, given: str) -> bool:
        """Compare a token in constant time."""
        return hmac.compare_digest(given.encode(), self.token.encode())

    def admits(self, headers: Headers) -> bool:
        """Return whether a request carries the token or the cookie."""
        if not self.token:
            return True
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self.knows(given.strip()):
            return True
        cookie = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        return hmac.compare_digest(cookie.encode(), self.session.encode())

    def problem(self, headers: Headers, path: str) -> Problem | None:
        """Return why a request is refused, or `None` if it is accepted."""
        host = headers.get("host", "")
        if _name(host) not in self.hosts:
            return Problem(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"this server is not called '{host}'; start it with `allowed_host` for this name",
            )
        origin = headers.get("origin")
        if origin is not None and origin.lower() not in (f"http://{host.lower()}", f"https://{host.lower()}"):
            return Problem(HTTPStatus.FORBIDDEN, f"pages of '{origin}' may not use this server")
        if not path.startswith("/api/"):
            return None
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return Problem(HTTPStatus.FORBIDDEN, "pages of other sites may not use this server")
        if path not in _OPEN and not self.admits(headers):
            return Problem(
                HTTPStatus.UNAUTHORIZED,
                "a token is needed; send it as 'Authorization: Bearer TOKEN'",
                {"WWW-Authenticate": "Bearer"},
            )
        return None


class Guard:
    """ASGI middleware that refuses requests by `Access` and adds headers to every answer."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # the application has no web sockets

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        problem = self._access.problem(Headers(scope=scope), scope["path"])
        if problem is not None:
            await response(problem)(scope, receive, sent)
        else:
            await self._app(scope, receive, sent)


def _name(host: str) -> str:
    """Return the host of a Host header, without its port.

    >>> _name("LocalHost:8765"), _name("[::1]:80"), _name("[::1")
    ('localhost', '::1', '')
    """
    try:
        return (urlsplit(f"//{host}").hostname or "") if "@" not in host else ""
    except ValueError:  # such as a bracket that is not closed
        return ""
