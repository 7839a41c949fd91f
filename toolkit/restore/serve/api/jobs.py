"""Jobs: submitted, watched and removed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from restore.serve.api.parameters import IMAGE_BODY, TheJob, TheService
from restore.serve.events import events
from restore.serve.receiving import is_json, received
from restore.serve.schema import Group, JobView, Submission

__all__ = ["router"]

router = APIRouter()


@router.post("/jobs", status_code=HTTPStatus.ACCEPTED, openapi_extra=IMAGE_BODY)
async def add_job(request: Request, service: TheService, answer: Response) -> JobView:
    """Restore an image: a form, the image itself, or JSON that names an image that was uploaded before."""
    if is_json(request.headers):
        wanted = Submission.model_validate_json(await request.body())
        job = service.submit(service.uploads.get(wanted.image), wanted.options, wanted.group)
    else:
        async with received(request, service.uploads, service.limits) as (upload, fields):
            wanted = Submission.model_validate({**fields, "image": upload.id})
            job = service.submit(upload, wanted.options, wanted.group)
    answer.headers["Location"] = f"/api/jobs/{job.id}"
    return service.jobs.view(job)


@router.get("/jobs")
async def jobs(group: Group, service: TheService) -> list[JobView]:
    """List the jobs of a group, oldest first."""
    return [service.jobs.view(job) for job in service.jobs.of(group)]


@router.get("/jobs/{job}")
async def job(job: TheJob, service: TheService) -> JobView:
    """Return the state of a job."""
    return service.jobs.view(job)


@router.delete("/jobs/{job}", status_code=HTTPStatus.NO_CONTENT)
async def remove_job(job: TheJob, service: TheService) -> None:
    """Cancel a job and remove its result."""
    await asyncio.to_thread(service.remove, job)


@router.get("/jobs/{job}/events", response_class=StreamingResponse)
async def job_events(job: TheJob, service: TheService) -> Response:
    """Stream the states of a job as server-sent events until it ends."""
    return _stream(events(service.jobs, job, None))


@router.get("/events", response_class=StreamingResponse)
async def group_events(group: Group, service: TheService) -> Response:
    """Stream the states of the jobs of a group as server-sent events."""
    return _stream(events(service.jobs, None, group))


def _stream(lines: AsyncIterator[str]) -> Response:
    headers = {"X-Accel-Buffering": "no"}  # otherwise nginx buffers the events
    return StreamingResponse(lines, media_type="text/event-stream", headers=headers)
