"""Uploads: streamed to the private folder, bounded in bytes and time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from restore.serve.forms import Form
from restore.serve.limits import Limits
from restore.serve.problems import Problem
from restore.serve.uploads import Upload, Uploads

__all__ = ["BoundedBodies", "is_json", "received"]

_IMAGES = frozenset({"/api/images", "/api/jobs", "/api/restore"})
"""Where bodies with an image are sent to."""

_SMALL = 64 * 2**10
"""Bytes of a form around its file, and of a body without an image, which is read into memory."""


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
        of_image = self._limits.upload_bytes if _has_image(scope) else 0

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
            if size > of_image + _SMALL:
                raise _too_large(of_image)
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
    if length > limits.upload_bytes + _SMALL:
        raise _too_large(limits.upload_bytes)
    with uploads.receiving(length) as place:
        content_type = request.headers.get("content-type", "")
        with place.path.open("wb") as target:
            if _media_type(content_type) == "multipart/form-data":
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
            raise _too_large(limits.upload_bytes)
        upload = await asyncio.to_thread(uploads.add, place, name)
    try:
        yield upload, fields
    except BaseException:
        uploads.discard(upload)
        raise


def is_json(headers: Headers) -> bool:
    """Whether the body of a request is JSON.

    >>> is_json(Headers({"content-type": "Application/JSON; charset=utf-8"}))
    True
    """
    return _media_type(headers.get("content-type", "")) == "application/json"


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _has_image(scope: Scope) -> bool:
    return scope["path"] in _IMAGES and not is_json(Headers(scope=scope))


def _too_large(of_image: int) -> Problem:
    detail = (
        f"an image may have {of_image / 2**20:,.0f} MiB; send a smaller file"
        if of_image
        else f"a body without an image may have {_SMALL / 2**10:.0f} KiB"
    )
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail, {"Connection": "close"})
