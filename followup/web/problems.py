"""Errors as `application/problem+json` (RFC 9457), each field that is wrong by its name."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from followup.domain.spoken import iso
from followup.errors import (
    AlreadyContacted,
    Conflict,
    Fault,
    FollowupError,
    Invalid,
    NotFound,
    TooMany,
)
from followup.store.db import UNUSABLE, cause_of

log = structlog.get_logger()

TITLES: Mapping[int, str] = {
    400: "Bad request",
    401: "Not signed in",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    408: "Too slow",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported media type",
    422: "Not valid",
    429: "Too many requests",
    500: "Our mistake",
    503: "Not available",
}

_MEANINGS: Mapping[int, str] = {
    400: "The body is not JSON, or not a form",
    401: "No valid bearer token",
    403: "Not signed by Twilio",
    404: "There is no such thing",
    408: "The body took too long to arrive",
    409: "The answer is no: something or somebody was first",
    413: "Larger than 64 KiB",
    415: "Another Content-Type",
    422: "Names every field that is wrong",
    429: "More from this address than is usual; Retry-After says when to try again",
    503: "The database does not answer",
}

_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "problem"],
                "properties": {"field": {"type": "string"}, "problem": {"type": "string"}},
            },
        },
    },
}


def describe(*statuses: int, **meanings: str) -> dict[int | str, dict[str, Any]]:
    """What a route's documentation says of its errors; `_404="…"` says it in other words."""
    return {
        status: {
            "description": meanings.get(f"_{status}", _MEANINGS[status]),
            "content": {"application/problem+json": {"schema": _SCHEMA}},
        }
        for status in statuses
    }


class Problem(HTTPException):
    """An answer that is an error; raised by routes and their dependencies.

    The framework's own kind of error, because it turns any other that comes up while it reads a
    body into a 400.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        faults: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(status, detail, headers)
        self.faults = faults
        self.more = more


def problem_response(problem: Problem) -> JSONResponse:
    content = {
        "type": "about:blank",
        "title": TITLES.get(problem.status_code, "Error"),
        "status": problem.status_code,
        "detail": problem.detail,
        **({"errors": [_shown(fault) for fault in problem.faults]} if problem.faults else {}),
        **problem.more,
    }
    return JSONResponse(
        content,
        status_code=problem.status_code,
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
    if isinstance(error, TooMany):
        return Problem(429, str(error), headers=retry_after(error))
    if isinstance(error, AlreadyContacted):
        contacted_at = iso(error.contacted_at)
        return Problem(409, str(error), contacted_by=error.contacted_by, contacted_at=contacted_at)
    if isinstance(error, Conflict):
        return Problem(409, str(error))
    log.error("a request met a wrong setting", problem=str(error))
    return Problem(500, "the service is misconfigured; the log says how")


def no_database(error: Exception) -> Problem:
    """For one of UNUSABLE. The log has the cause, and the caller has not."""
    cause = cause_of(error) if isinstance(error, SQLAlchemyError) else type(error).__name__
    log.error("the database cannot be used", cause=cause)
    return Problem(503, "the database does not answer; try again", headers={"Retry-After": "5"})


def retry_after(error: TooMany) -> dict[str, str]:
    """Whole seconds, the last one begun counted (RFC 9110 §10.2.3)."""
    return {"Retry-After": str(math.ceil(error.retry_after.total_seconds()))}


def add_handlers(app: FastAPI) -> None:
    """Every error leaves as problem+json, also 404 and 405 of the framework."""

    @app.exception_handler(Problem)
    def _problem(_request: Request, error: Problem) -> JSONResponse:
        return problem_response(error)

    @app.exception_handler(FollowupError)
    def _ours(_request: Request, error: FollowupError) -> JSONResponse:
        return problem_response(from_error(error))

    @app.exception_handler(HTTPException)
    def _http(request: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = _allowed(app, request, headers.get("Allow", ""))
        detail = TITLES.get(error.status_code, "Error")
        return problem_response(Problem(error.status_code, detail, headers=headers))

    @app.exception_handler(RequestValidationError)
    def _arguments(_request: Request, error: RequestValidationError) -> JSONResponse:
        faults = [
            Fault(
                ".".join(str(part) for part in item["loc"][1:]) or "body",
                item["msg"].removeprefix("Value error, "),
            )
            for item in error.errors()
        ]
        if any(item["type"] == "json_invalid" for item in error.errors()):
            return problem_response(Problem(400, "the body is not valid JSON"))
        return problem_response(Problem(422, "; ".join(map(str, faults)), faults))

    for kind in UNUSABLE:
        app.add_exception_handler(kind, lambda _, error: problem_response(no_database(error)))


def _allowed(app: FastAPI, request: Request, known: str) -> str:
    """Every method of the path (RFC 9110 §15.5.6); the framework names those of one route."""
    path = getattr(request.scope.get("route"), "path", "")
    methods = {name.upper() for name in app.openapi()["paths"].get(path, ())}
    methods |= {name for name in known.split(", ") if name}
    if "GET" in methods:
        methods.add("HEAD")
    return ", ".join(sorted(methods))
