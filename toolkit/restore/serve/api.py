"""The routes of the interface for programs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from http import HTTPStatus
from importlib.metadata import version
from mimetypes import guess_type
from pathlib import Path
from typing import Annotated, Any, cast
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import FileResponse, HTMLResponse, Response, StreamingResponse

from restore.evaluation import Crop
from restore.pages import script_hashes
from restore.serve.archive import archive, unique
from restore.serve.events import Changes, events
from restore.serve.guard import COOKIE, Access
from restore.serve.jobs import ENDED, ServedJob
from restore.serve.problems import PROBLEM, Problem
from restore.serve.receiving import received
from restore.serve.schema import (
    Group,
    Health,
    ImageView,
    JobOptions,
    JobView,
    ModelView,
    PlanView,
    Submission,
    Token,
)
from restore.serve.service import Service
from restore.serve.uploads import Upload

__all__ = ["router"]

_FORM = {
    "type": "object",
    "required": ["image"],
    "properties": {"image": {"type": "string", "format": "binary"}},
}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": _FORM},
            "image/*": {"schema": {"type": "string", "format": "binary"}},
        },
    },
    "parameters": [
        {
            "name": "name",
            "in": "query",
            "required": False,
            "schema": {"type": "string"},
            "description": "Name of an image that is the whole body.",
        }
    ],
}
"""A form with the file ``image``, or the image alone."""

router = APIRouter(
    prefix="/api",
    responses={"default": {"description": "A problem document", "content": {PROBLEM: {}}}},
)


def _service(request: Request) -> Service:
    return cast("Service", request.app.state.service)


TheService = Annotated[Service, Depends(_service)]


def _job(job: str, service: TheService) -> ServedJob:
    found = service.jobs.get(job)
    found.upload.used = max(found.upload.used, found.ended or 0.0)
    service.uploads.get(found.upload.id)  # it was used
    return found


def _image(image: str, service: TheService) -> Upload:
    return service.uploads.get(image)


TheJob = Annotated[ServedJob, Depends(_job)]
TheImage = Annotated[Upload, Depends(_image)]
TheOptions = Annotated[JobOptions, Query()]


@router.post("/session", status_code=HTTPStatus.NO_CONTENT)
async def session(body: Token, request: Request) -> Response:
    """Exchange the token for a cookie, which streams and images of the page need."""
    access = cast("Access", request.app.state.access)
    if not access.knows(body.token):
        await asyncio.sleep(0.5)  # slows guessing down
        raise Problem(HTTPStatus.UNAUTHORIZED, "this is not the token of the server")
    answer = Response(status_code=HTTPStatus.NO_CONTENT)
    secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, access.session, httponly=True, samesite="strict", secure=secure)
    return answer


@router.get("/health")
async def health(service: TheService) -> Health:
    """Whether the server works."""
    waiting, running = service.jobs.count()
    status = "stopping" if service.jobs.stopping else "ok"
    return Health(status=status, version=version("restorekit"), waiting=waiting, running=running)


@router.get("/metrics")
async def metrics(service: TheService) -> Response:
    """Counters in the text format of Prometheus."""
    text = service.metrics.text(service.jobs, service.uploads, service.networks)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/models")
async def models(service: TheService) -> list[ModelView]:
    """The models that can be used."""
    return service.networks.offered


@router.post("/images", status_code=HTTPStatus.CREATED, openapi_extra=_BODY)
async def add_image(request: Request, service: TheService) -> ImageView:
    """Upload an image and look at it."""
    async with received(request, service.uploads, service.limits) as (upload, _):
        return await service.look(partial(service.looking.image, upload))


@router.get("/images/{image}")
async def image(image: TheImage, service: TheService) -> ImageView:
    """What was found in an image."""
    return await service.look(partial(service.looking.image, image))


@router.delete("/images/{image}", status_code=HTTPStatus.NO_CONTENT)
async def remove_image(image: TheImage, service: TheService) -> None:
    """Remove an image that no job needs."""
    service.uploads.discard(image)


@router.get("/images/{image}/plan")
async def plan(image: TheImage, options: TheOptions, service: TheService) -> PlanView:
    """What a job with these options would do, and how long it would take."""
    service.networks.check(options)
    return await service.look(partial(service.looking.plan, image, options))


class PreviewOptions(JobOptions):
    """A part of a result."""

    crop: str


@router.get("/images/{image}/preview", response_class=Response)
async def preview(
    image: TheImage, options: Annotated[PreviewOptions, Query()], service: TheService
) -> Response:
    """A part of the result as PNG; `crop` is LEFT,TOP,WIDTH,HEIGHT in pixels of the image."""
    service.networks.check(options)
    make = partial(service.looking.preview, image, options.options, Crop.parse(options.crop))
    return Response(await service.look(make), media_type="image/png")


@router.get("/images/{image}/view", response_class=FileResponse)
async def image_view(image: TheImage, service: TheService) -> Response:
    """The image in a format that browsers show."""
    return _shown(await service.look(partial(service.looking.view, image.path)))


@router.post("/jobs", status_code=HTTPStatus.ACCEPTED, openapi_extra=_BODY)
async def add_job(request: Request, service: TheService, answer: Response) -> JobView:
    """Restore an image: a form, the image itself, or JSON that names an image that was uploaded before."""
    if request.headers.get("content-type", "").startswith("application/json"):
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
    """The jobs of a group, the oldest first."""
    return [service.jobs.view(job) for job in service.jobs.of(group)]


@router.get("/jobs/{job}")
async def job(job: TheJob, service: TheService) -> JobView:
    """The state of a job."""
    return service.jobs.view(job)


@router.delete("/jobs/{job}", status_code=HTTPStatus.NO_CONTENT)
async def remove_job(job: TheJob, service: TheService) -> None:
    """Cancel a job and remove its result."""
    await asyncio.to_thread(service.remove, job)


@router.get("/jobs/{job}/events", response_class=StreamingResponse)
async def job_events(job: TheJob, service: TheService) -> Response:
    """The states of a job as server-sent events, until it has ended."""
    return _stream(events(service.jobs, job, None))


@router.get("/events", response_class=StreamingResponse)
async def group_events(group: Group, service: TheService) -> Response:
    """The states of the jobs of a group as server-sent events."""
    return _stream(events(service.jobs, None, group))


@router.get("/jobs/{job}/result", response_class=FileResponse)
async def result(job: TheJob) -> Response:
    """The result as a file."""
    return FileResponse(_done(job), filename=job.name, media_type=_type(job.name))


@router.get("/jobs/{job}/view", response_class=FileResponse)
async def result_view(job: TheJob, service: TheService) -> Response:
    """The result in a format that browsers show."""
    return _shown(await service.look(partial(service.looking.view, _done(job))))


@router.get("/jobs/{job}/comparison", response_class=HTMLResponse)
async def comparison(job: TheJob, service: TheService) -> Response:
    """A page with the result and its input under a slider."""
    _done(job)
    addresses = (f"/api/images/{job.upload.id}/view", f"/api/jobs/{job.id}/view")
    content = await service.look(partial(service.looking.comparison, job, addresses))
    policy = (
        f"default-src 'none'; script-src {' '.join(script_hashes())}; style-src 'unsafe-inline'; "
        "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    )
    return HTMLResponse(content, headers={"Content-Security-Policy": policy})


@router.get("/results.zip", response_class=StreamingResponse)
async def results(group: Group, service: TheService) -> Response:
    """All results of a group in one archive."""
    done = [job for job in service.jobs.of(group) if job.state == "done"]
    if not done:
        raise Problem(HTTPStatus.NOT_FOUND, "there is no result yet")
    names = unique(job.name for job in done)
    files = zip(names, [job.job.destination for job in done], strict=True)
    headers = {"Content-Disposition": 'attachment; filename="restored.zip"'}
    return StreamingResponse(archive(list(files)), media_type="application/zip", headers=headers)


@router.post("/restore", openapi_extra=_BODY, response_class=Response)
async def restore(request: Request, service: TheService) -> Response:
    """Restore an image and return the result in the answer; a client that goes away ends the work."""
    async with received(request, service.uploads, service.limits) as (upload, fields):
        job = service.submit(upload, JobOptions.model_validate(fields))
        try:
            await _ended(job, request, service)
            if job.state != "done":
                raise _not_done(job)
            content = await asyncio.to_thread(job.job.destination.read_bytes)
        finally:
            await asyncio.to_thread(service.remove, job)
            await asyncio.to_thread(service.uploads.discard, upload)
    disposition = f"attachment; filename*=UTF-8''{quote(job.name)}"
    headers = {"Content-Disposition": disposition, "X-Model": job.model}
    return Response(content, media_type=_type(job.name), headers=headers)


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


def _done(job: ServedJob) -> Path:
    """The file of a result.

    Raises:
        Problem: there is none.
    """
    if job.state != "done":
        raise _not_done(job)
    return job.job.destination


def _not_done(job: ServedJob) -> Problem:
    if job.state == "failed":
        return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{job.upload.name}: {job.reason}")
    if job.state == "canceled":
        status = HTTPStatus.SERVICE_UNAVAILABLE if job.reason else HTTPStatus.CONFLICT
        return Problem(status, job.reason or "the job was canceled")
    return Problem(HTTPStatus.CONFLICT, "the job has not ended; wait for it", {"Retry-After": "1"})


def _shown(file: Path) -> Response:
    headers = {"Content-Disposition": "inline", "Cache-Control": "private, max-age=3600"}
    return FileResponse(file, media_type=_type(file.name), headers=headers)


def _type(name: str) -> str:
    """The media type of an image, never one that a browser runs."""
    found = guess_type(f"image{Path(name).suffix.lower()}")[0] or ""
    return found if found.startswith("image/") and "svg" not in found else "application/octet-stream"


def _stream(lines: AsyncIterator[str]) -> Response:
    headers = {"X-Accel-Buffering": "no"}  # nginx would keep the events back
    return StreamingResponse(lines, media_type="text/event-stream", headers=headers)
