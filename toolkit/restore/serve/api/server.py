"""Routes of the server itself: sessions, health, metrics and models."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from importlib.metadata import version
from typing import cast

from fastapi import APIRouter, Request
from fastapi.responses import Response

from restore.serve.api.parameters import TheService
from restore.serve.guard import COOKIE, Access
from restore.serve.problems import Problem
from restore.serve.schema import Health, ModelView, Token

__all__ = ["router"]

router = APIRouter()


_TOKEN = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": Token.model_json_schema()}}}
}


@router.post("/session", status_code=HTTPStatus.NO_CONTENT, openapi_extra=_TOKEN)
async def session(request: Request) -> Response:
    """Exchange the token for a cookie, which streams and images of the page need."""
    access = cast("Access", request.app.state.access)
    # FastAPI would answer 400 to whatever stops the reading, such as that the body is too large.
    given = Token.model_validate_json(await request.body())
    if not access.knows(given.token):
        await asyncio.sleep(0.5)  # slows down guessing
        raise Problem(HTTPStatus.UNAUTHORIZED, "this is not the token of the server")
    answer = Response(status_code=HTTPStatus.NO_CONTENT)
    secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, access.session, httponly=True, samesite="strict", secure=secure)
    return answer


@router.get("/health")
async def health(service: TheService) -> Health:
    """Report whether the server works."""
    waiting, running = service.jobs.count()
    status = "stopping" if service.jobs.stopping else "ok"
    return Health(status=status, version=version("restorekit"), waiting=waiting, running=running)


@router.get("/metrics")
async def metrics(service: TheService) -> Response:
    """Return counters in the text format of Prometheus."""
    text = service.metrics.text(service.jobs, service.uploads, service.networks)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/models")
async def models(service: TheService) -> list[ModelView]:
    """List the available models."""
    return service.networks.offered
