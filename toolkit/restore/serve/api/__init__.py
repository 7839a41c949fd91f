"""The routes of the interface for programs."""

from fastapi import APIRouter

from restore.serve.api import direct, images, jobs, results, server
from restore.serve.problems import PROBLEM

__all__ = ["router"]

router = APIRouter(
    prefix="/api",
    responses={"default": {"description": "A problem document", "content": {PROBLEM: {}}}},
)
for routes in (server, images, jobs, results, direct):
    router.include_router(routes.router)
