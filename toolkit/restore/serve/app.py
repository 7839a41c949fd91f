"""The ASGI application: the HTTP API, the page and the middleware that protects them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse, HTMLResponse, Response
from fastapi.staticfiles import StaticFiles

from restore.pages import asset
from restore.serve.api import router
from restore.serve.guard import Access, Guard
from restore.serve.problems import handle_problems
from restore.serve.receiving import BoundedBodies
from restore.serve.reference import reference
from restore.serve.service import Service

__all__ = ["application"]

_log = logging.getLogger("restore.serve")

_EXPIRING = 60.0  # seconds between two removals of expired entries


def application(service: Service, access: Access) -> FastAPI:
    """Return the ASGI application of a service.

    Args:
        service: entered by the caller, who also ends it.
        access: who may use it.
    """
    app = FastAPI(
        title="restore",
        summary="Image restoration",
        version=version("restorekit"),
        docs_url=None,  # its scripts come from other places
        redoc_url=None,
        openapi_url="/api/openapi.json",
        lifespan=_lifespan,
    )
    app.state.service = service
    app.state.access = access
    handle_problems(app)
    app.include_router(router)
    static = Path(str(files("restore.serve") / "static"))

    @app.get("/static/common.css", include_in_schema=False)
    async def common() -> Response:
        return Response(asset("common.css"), media_type="text/css")

    app.mount("/static", StaticFiles(directory=static), "static")

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return FileResponse(static / "index.html", headers={"Cache-Control": "no-cache"})

    @app.get("/reference", include_in_schema=False)
    async def about() -> Response:
        return HTMLResponse(reference(app.openapi()))

    app.add_middleware(BoundedBodies, limits=service.limits)
    app.add_middleware(Guard, access=access)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    expiring = asyncio.create_task(_expire(app.state.service))
    yield
    expiring.cancel()
    with suppress(asyncio.CancelledError):
        await expiring


async def _expire(service: Service) -> None:
    """Remove expired entries periodically."""
    while True:
        await asyncio.sleep(min(_EXPIRING, service.limits.keep_seconds / 4))
        try:
            await asyncio.to_thread(service.expire)
        except Exception:  # the next time may go better
            _log.exception("expired entries could not be removed")
