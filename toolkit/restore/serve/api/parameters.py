"""Parameters of routes: the service, the entries named in the path, and bodies with an image."""

from __future__ import annotations

import time
from typing import Annotated, Any, cast

from fastapi import Depends, Query, Request

from restore.serve.jobs import ServedJob
from restore.serve.schema import JobOptions
from restore.serve.service import Service
from restore.serve.uploads import Upload

__all__ = ["IMAGE_BODY", "TheImage", "TheJob", "TheOptions", "TheService"]

_FORM = {
    "type": "object",
    "required": ["image"],
    "properties": {"image": {"type": "string", "format": "binary"}},
}
IMAGE_BODY: dict[str, Any] = {
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


def _service(request: Request) -> Service:
    return cast("Service", request.app.state.service)


TheService = Annotated[Service, Depends(_service)]


def _job(job: str, service: TheService) -> ServedJob:
    found = service.jobs.get(job)
    found.upload.used = time.monotonic()  # even where it was removed: only a job that has not ended needs it
    return found


def _image(image: str, service: TheService) -> Upload:
    return service.uploads.get(image)


TheJob = Annotated[ServedJob, Depends(_job)]
TheImage = Annotated[Upload, Depends(_image)]
TheOptions = Annotated[JobOptions, Query()]
