"""A result in the answer to the request that brings the image."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import Response

from restore.serve.api.answers import media_type, not_done
from restore.serve.api.parameters import IMAGE_BODY, TheService
from restore.serve.events import Changes
from restore.serve.jobs import ENDED, ServedJob
from restore.serve.receiving import received
from restore.serve.schema import JobOptions
from restore.serve.service import Service

__all__ = ["router"]

router = APIRouter()


@router.post("/restore", openapi_extra=IMAGE_BODY, response_class=Response)
async def restore(request: Request, service: TheService) -> Response:
    """Restore an image and return the result in the answer; a client that goes away ends the work."""
    async with received(request, service.uploads, service.limits) as (upload, fields):
        job = service.submit(upload, JobOptions.model_validate(fields))
        try:
            await _ended(job, request, service)
            if job.state != "done":
                raise not_done(job)
            content = await asyncio.to_thread(job.job.destination.read_bytes)
        finally:
            await asyncio.to_thread(service.remove, job)
            await asyncio.to_thread(service.uploads.discard, upload)
    disposition = f"attachment; filename*=UTF-8''{quote(job.name)}"
    headers = {"Content-Disposition": disposition, "X-Model": job.model}
    return Response(content, media_type=media_type(job.name), headers=headers)


async def _ended(job: ServedJob, request: Request, service: Service) -> None:
    """Wait for the end of a job; cancel it when the client goes away."""
    gone = asyncio.ensure_future(_gone(request))
    try:
        gone.add_done_callback(lambda task: None if task.cancelled() else service.jobs.cancel(job))
        async for _ in Changes(service.jobs, lambda other: other is job):
            if job.state in ENDED:
                return
    finally:
        gone.cancel()


async def _gone(request: Request) -> None:
    """Wait until the client has gone away; its body was read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
