"""Uploads: streamed to the private folder, bounded in bytes and time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from restore.serve.forms import Form
from restore.serve.limits import Limits
from restore.serve.problems import Problem
from restore.serve.uploads import Upload, Uploads

__all__ = ["BoundedBodies", "received"]

_FORM = 64 * 2**10  # bytes of a form around its file


class BoundedBodies:
    """ASGI middleware that ends requests whose body is too large, or takes too long."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app, self._limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin, size, whole = time.monotonic(), 0, False

        async def bounded() -> Message:
            nonlocal size, whole
            if whole:  # what comes now is that the client goes away
                return await receive()
            left = begin + self._limits.upload_seconds - time.monotonic()
            try:
                message = await asyncio.wait_for(receive(), max(0.0, min(left, self._limits.idle_seconds)))
            except TimeoutError:
                raise Problem(
                    HTTPStatus.REQUEST_TIMEOUT, "the upload took too long; try again", {"Connection": "close"}
                ) from None
            size += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if size > self._limits.upload_bytes + _FORM:
                raise _too_large(self._limits)
            return message

        await self._app(scope, bounded, send)


@asynccontextmanager
async def received(
    request: Request, uploads: Uploads, limits: Limits
) -> AsyncIterator[tuple[Upload, dict[str, Any]]]:
    """The image of a request and the other fields of its form, or those of its address.

    The body is a form with the file ``image``, or the image itself, whose name is the field ``name`` of the
    address. An upload that nothing has used when the block ends is removed if the block raises.

    Raises:
        Problem: there is no image, it is too large, or there is no room.
        ImageError: it is no image.
    """
    length = int(request.headers.get("content-length") or limits.upload_bytes)
    if length > limits.upload_bytes + _FORM:
        raise _too_large(limits)
    with uploads.receiving(length) as place:
        content_type = request.headers.get("content-type", "")
        with place.path.open("wb") as target:
            if content_type.startswith("multipart/form-data"):
                form = Form(content_type, target)
                async for chunk in request.stream():
                    form.write(chunk)
                name, fields = form.end()
            else:
                fields = dict(request.query_params)
                name = fields.pop("name", "image")
                async for chunk in request.stream():
                    target.write(chunk)
        if place.path.stat().st_size > limits.upload_bytes:
            raise _too_large(limits)
        upload = await asyncio.to_thread(uploads.add, place, name)
    try:
        yield upload, fields
    except BaseException:
        uploads.discard(upload)
        raise


def _too_large(limits: Limits) -> Problem:
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"an image may have {limits.upload_bytes / 2**20:,.0f} MiB; send a smaller file",
        {"Connection": "close"},
    )
