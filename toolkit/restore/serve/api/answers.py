"""Answers with files of images, and with the reason why there is none."""

from __future__ import annotations

from http import HTTPStatus
from mimetypes import guess_type
from pathlib import Path

from fastapi.responses import FileResponse, Response

from restore.serve.jobs import ServedJob
from restore.serve.problems import Problem

__all__ = ["finished", "media_type", "not_done", "shown"]


def finished(job: ServedJob) -> Path:
    """Return the file of a result.

    Raises:
        Problem: there is none.
    """
    if job.state != "done":
        raise not_done(job)
    return job.job.destination


def not_done(job: ServedJob) -> Problem:
    """Return the problem that explains why a job has no result."""
    if job.state == "failed":
        return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{job.upload.name}: {job.reason}")
    if job.state == "canceled":
        status = HTTPStatus.SERVICE_UNAVAILABLE if job.reason else HTTPStatus.CONFLICT
        return Problem(status, job.reason or "the job was canceled")
    return Problem(HTTPStatus.CONFLICT, "the job has not ended; wait for it", {"Retry-After": "1"})


def shown(file: Path) -> Response:
    """Answer with an image that the browser shows and does not save."""
    headers = {"Content-Disposition": "inline", "Cache-Control": "private, max-age=3600"}
    return FileResponse(file, media_type=media_type(file.name), headers=headers)


def media_type(name: str) -> str:
    """Return the media type of an image, never one that a browser executes."""
    found = guess_type(f"image{Path(name).suffix.lower()}")[0] or ""
    return found if found.startswith("image/") and "svg" not in found else "application/octet-stream"
