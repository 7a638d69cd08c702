"""Errors as `application/problem+json` (RFC 9457), each field that is wrong by its name."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

from followup.errors import AlreadyContacted, Conflict, Fault, FollowupError, Invalid, NotFound

log = structlog.get_logger()

TITLES: Mapping[int, str] = {
    400: "Bad request",
    401: "Not signed in",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    411: "Length required",
    413: "Too large",
    415: "Unsupported media type",
    422: "Not valid",
    429: "Too many requests",
    500: "Our mistake",
    503: "Not available",
}


class Problem(Exception):
    """An answer that is an error; raised by routes and their dependencies."""

    def __init__(
        self,
        status: int,
        detail: str,
        faults: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.faults = faults
        self.headers = dict(headers or {})
        self.more = more


def problem_response(problem: Problem) -> JSONResponse:
    content = {
        "type": "about:blank",
        "title": TITLES.get(problem.status, "Error"),
        "status": problem.status,
        "detail": problem.detail,
        **({"errors": [_shown(fault) for fault in problem.faults]} if problem.faults else {}),
        **problem.more,
    }
    return JSONResponse(
        content,
        status_code=problem.status,
        headers=problem.headers,
        media_type="application/problem+json",
    )


def _shown(fault: Fault) -> dict[str, str]:
    return {"field": fault.field, "problem": fault.problem}


def from_error(error: FollowupError) -> Problem:
    """Our errors as answers: the caller's fault, not there, or somebody was first."""
    if isinstance(error, Invalid):
        return Problem(422, str(error), error.faults)
    if isinstance(error, NotFound):
        return Problem(404, str(error))
    if isinstance(error, AlreadyContacted):
        contacted_at = error.contacted_at.isoformat().replace("+00:00", "Z")
        return Problem(409, str(error), contacted_by=error.contacted_by, contacted_at=contacted_at)
    if isinstance(error, Conflict):
        return Problem(409, str(error))
    return Problem(500, "the service is misconfigured; the log says how")


def add_handlers(app: FastAPI) -> None:
    """Every error leaves as problem+json, also 404 and 405 of the framework."""

    @app.exception_handler(Problem)
    def _problem(_request: Request, error: Problem) -> JSONResponse:
        return problem_response(error)

    @app.exception_handler(FollowupError)
    def _ours(_request: Request, error: FollowupError) -> JSONResponse:
        return problem_response(from_error(error))

    @app.exception_handler(HTTPException)
    def _http(_request: Request, error: HTTPException) -> JSONResponse:
        detail = TITLES.get(error.status_code, str(error.detail))
        return problem_response(Problem(error.status_code, detail, headers=error.headers))

    @app.exception_handler(RequestValidationError)
    def _arguments(_request: Request, error: RequestValidationError) -> JSONResponse:
        faults = [
            Fault(".".join(str(part) for part in item["loc"][1:]) or "body", item["msg"])
            for item in error.errors()
        ]
        return problem_response(Problem(422, "; ".join(map(str, faults)), faults))

    @app.exception_handler(OperationalError)
    def _database(_request: Request, error: OperationalError) -> JSONResponse:
        cause = type(error.orig).__name__
        log.error("the database did not answer", error=cause)
        return problem_response(
            Problem(503, "the database does not answer; try again", headers={"Retry-After": "5"})
        )

    @app.exception_handler(Exception)
    def _unexpected(_request: Request, error: Exception) -> JSONResponse:
        number = uuid.uuid4().hex[:8]
        log.error("a request failed", error=type(error).__name__, number=number)
        return problem_response(Problem(500, f"unexpected; the log has it as {number}"))
