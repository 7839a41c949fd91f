"""Results: as files, as a comparison with the input, and all in one archive."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from http import HTTPStatus
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse, Response, StreamingResponse

from restore.pages import script_hashes
from restore.serve.api.answers import finished, media_type, shown
from restore.serve.api.parameters import TheJob, TheService
from restore.serve.archive import archive, unique
from restore.serve.jobs import ServedJob
from restore.serve.problems import Problem
from restore.serve.schema import Group

__all__ = ["router", "sent"]

router = APIRouter()


@router.get("/jobs/{job}/result", response_class=FileResponse)
async def result(job: TheJob) -> Response:
    """Return the result as a file."""
    return FileResponse(finished(job), filename=job.name, media_type=media_type(job.name))


@router.get("/jobs/{job}/view", response_class=FileResponse)
async def result_view(job: TheJob, service: TheService) -> Response:
    """Return the result in a format that browsers display."""
    return shown(await service.look(partial(service.looking.view, finished(job), job.name)))


@router.get("/jobs/{job}/comparison", response_class=HTMLResponse)
async def comparison(job: TheJob, service: TheService) -> Response:
    """Return a page that compares the result and its input under a slider."""
    finished(job)
    service.uploads.get(job.upload.id)
    addresses = (f"/api/images/{job.upload.id}/view", f"/api/jobs/{job.id}/view")
    content = await service.look(partial(service.looking.comparison, job, addresses))
    policy = (
        f"default-src 'none'; script-src {' '.join(script_hashes())}; style-src 'unsafe-inline'; "
        "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    )
    return HTMLResponse(content, headers={"Content-Security-Policy": policy})


@router.get("/results.zip", response_class=StreamingResponse)
async def results(group: Group, service: TheService) -> Response:
    """Return all results of a group in one archive."""
    done = [job for job in service.jobs.of(group) if job.state == "done"]
    if not done:
        raise Problem(HTTPStatus.NOT_FOUND, "there is no result yet")
    headers = {"Content-Disposition": 'attachment; filename="restored.zip"'}
    return StreamingResponse(archive(sent(done)), media_type="application/zip", headers=headers)


def sent(done: list[ServedJob]) -> Iterator[tuple[str, Path]]:
    """The name and the file of each result; as long as one is sent, none of them expires."""
    for name, job in zip(list(unique(job.name for job in done)), done, strict=True):
        for each in done:
            each.upload.used = time.monotonic()
        yield name, job.job.destination
