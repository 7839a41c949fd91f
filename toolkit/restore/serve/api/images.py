"""Routes for uploaded images: estimates, plans and previews."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, Response

from restore.evaluation import Crop
from restore.serve.api.answers import shown
from restore.serve.api.parameters import IMAGE_BODY, TheImage, TheOptions, TheService
from restore.serve.receiving import received
from restore.serve.schema import ImageView, JobOptions, PlanView

__all__ = ["router"]

router = APIRouter()


@router.post("/images", status_code=HTTPStatus.CREATED, openapi_extra=IMAGE_BODY)
async def add_image(request: Request, service: TheService) -> ImageView:
    """Upload an image and estimate its degradation."""
    async with received(request, service.uploads, service.limits) as (upload, _):
        return await service.look(partial(service.looking.image, upload))


@router.get("/images/{image}")
async def image(image: TheImage, service: TheService) -> ImageView:
    """Return the estimated degradation of an image."""
    return await service.look(partial(service.looking.image, image))


@router.delete("/images/{image}", status_code=HTTPStatus.NO_CONTENT)
async def remove_image(image: TheImage, service: TheService) -> None:
    """Remove an image that no job needs."""
    service.uploads.discard(image)


@router.get("/images/{image}/plan")
async def plan(image: TheImage, options: TheOptions, service: TheService) -> PlanView:
    """Plan a job with these options, and estimate its time."""
    service.networks.check(options)
    return await service.look(partial(service.looking.plan, image, options))


class PreviewOptions(JobOptions):
    """A part of a result."""

    crop: str


@router.get("/images/{image}/preview", response_class=Response)
async def preview(
    image: TheImage, options: Annotated[PreviewOptions, Query()], service: TheService
) -> Response:
    """Return a part of the result as PNG; `crop` is LEFT,TOP,WIDTH,HEIGHT in pixels of the image."""
    service.networks.check(options)
    make = partial(service.looking.preview, image, options.options, Crop.parse(options.crop))
    return Response(await service.look(make), media_type="image/png")


@router.get("/images/{image}/view", response_class=FileResponse)
async def image_view(image: TheImage, service: TheService) -> Response:
    """Return the image in a format that browsers display."""
    return shown(await service.look(partial(service.looking.view, image.path, image.name)))
