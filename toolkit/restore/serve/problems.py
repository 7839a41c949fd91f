"""Errors as problem documents (RFC 9457), with the sentences of the command line."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from restore.errors import ImageError, RestoreError, UsageError, escaped

__all__ = ["PROBLEM", "Problem", "handle_problems", "response", "sentences"]

PROBLEM = "application/problem+json"

_log = logging.getLogger("restore.serve")


class Problem(Exception):  # noqa: N818 - the name of the standard
    """A request that is answered with an error.

    Args:
        status: of HTTP.
        detail: what is wrong and what to do next.
        headers: of the answer, such as ``Retry-After``.
    """

    def __init__(self, status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


def response(problem: Problem, **more: Any) -> Response:
    """The answer to a request with a problem.

    >>> response(Problem(HTTPStatus.NOT_FOUND, "there is no such job")).body
    b'{"type":"about:blank","title":"Not Found","status":404,"detail":"there is no such job"}'
    """
    content = {
        "type": "about:blank",
        "title": problem.status.phrase,
        "status": int(problem.status),
        "detail": escaped(problem.detail),
        **more,
    }
    return JSONResponse(content, problem.status, problem.headers, media_type=PROBLEM)


def sentences(error: ValidationError | RequestValidationError) -> str:
    """What is wrong with the values of a request, in one line.

    >>> from pydantic import TypeAdapter
    >>> try:
    ...     TypeAdapter(dict[str, int]).validate_python({"scale": "large"})
    ... except ValidationError as error:
    ...     sentences(error)
    '`scale`: Input should be a valid integer, unable to parse string as an integer'
    """
    found = []
    for each in error.errors():
        names = [str(part) for part in each["loc"] if part not in ("body", "query", "path")]
        message = each["msg"].removeprefix("Value error, ")
        found.append(f"`{'.'.join(names)}`: {message}" if names else message)
    return "; ".join(found)


def handle_problems(app: FastAPI) -> None:
    """Have `app` answer whatever is raised with a problem document."""

    @app.exception_handler(Problem)
    def _problem(_: Request, error: Problem) -> Response:
        return response(error)

    @app.exception_handler(RestoreError)
    def _restore(_: Request, error: RestoreError) -> Response:
        return response(Problem(_status(error), str(error)))

    @app.exception_handler(ValidationError)
    @app.exception_handler(RequestValidationError)
    def _invalid(_: Request, error: ValidationError | RequestValidationError) -> Response:
        return response(Problem(HTTPStatus.UNPROCESSABLE_ENTITY, sentences(error)))

    @app.exception_handler(HTTPException)
    def _http(_: Request, error: HTTPException) -> Response:
        return response(Problem(HTTPStatus(error.status_code), str(error.detail), error.headers))

    @app.exception_handler(ClientDisconnect)
    def _gone(_: Request, __: ClientDisconnect) -> Response:
        return Response(status_code=HTTPStatus.BAD_REQUEST)  # nobody reads it

    @app.exception_handler(Exception)
    def _unexpected(_: Request, error: Exception) -> Response:
        _log.error("unexpected %s", type(error).__name__, exc_info=error)
        detail = f"unexpected {type(error).__name__}; the log of the server has its traceback"
        return response(Problem(HTTPStatus.INTERNAL_SERVER_ERROR, detail))


def _status(error: RestoreError) -> HTTPStatus:
    if isinstance(error, UsageError):
        return HTTPStatus.BAD_REQUEST
    if isinstance(error, ImageError):
        return HTTPStatus.UNPROCESSABLE_ENTITY
    return HTTPStatus.INTERNAL_SERVER_ERROR
