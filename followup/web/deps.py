"""What every route shares: the service, who is calling, and the body as a mapping."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, cast
from urllib.parse import parse_qsl

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from python_multipart.exceptions import MultipartParseError

from followup.bell import Bell
from followup.bootstrap import Service
from followup.services import staffing
from followup.store.db import reading
from followup.store.models import Person
from followup.web.problems import Problem

#: A form; the longest legal one has about 12 KiB.
BODY_LIMIT = 64 * 1024
#: More pairs than any form of ours has; a body of "&&&&" must not cost more than it weighs.
FIELD_LIMIT = 200


@dataclass(frozen=True)
class Body:
    """A request's body as sent and as fields; a repeated field of a form is a list."""

    raw: bytes
    fields: Mapping[str, Any]
    is_form: bool


def service(request: Request) -> Service:
    return cast(Service, request.app.state.service)


def bell(request: Request) -> Bell:
    return cast(Bell, request.app.state.bell)


async def read_raw(request: Request) -> bytes:
    """The body, at most `BODY_LIMIT` bytes of it."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > BODY_LIMIT:
        raise Problem(413, f"the body must have at most {BODY_LIMIT} bytes")
    chunks = bytearray()
    async for chunk in request.stream():
        chunks += chunk
        if len(chunks) > BODY_LIMIT:
            raise Problem(413, f"the body must have at most {BODY_LIMIT} bytes")
    return bytes(chunks)


async def read_body(request: Request) -> Body:
    """JSON or a form. Raises Problem 400, 413 or 415."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _read_multipart(request)
    raw = await read_raw(request)
    if kind == "application/json":
        return Body(raw, _read_json(raw), is_form=False)
    if kind == "application/x-www-form-urlencoded":
        return Body(raw, _nested(_read_form(raw)), is_form=True)
    raise Problem(
        415,
        "Content-Type must be application/json or a form's",
    )


def _read_json(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise Problem(400, "the body is not valid JSON in UTF-8") from None
    if not isinstance(value, dict):
        raise Problem(422, "the body must be a JSON object")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _read_form(raw: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            raw.decode(),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=FIELD_LIMIT,
        )
    except ValueError:
        raise Problem(400, "the body is not a valid form in UTF-8") from None


async def _read_multipart(request: Request) -> Body:
    declared = request.headers.get("content-length", "")
    if not declared.isdigit():
        raise Problem(411, "a multipart body must say its Content-Length")
    if int(declared) > BODY_LIMIT:
        raise Problem(413, f"the body must have at most {BODY_LIMIT} bytes")
    try:
        form = await request.form(max_files=0, max_fields=FIELD_LIMIT)
    except (MultipartParseError, ValueError, KeyError, UnicodeError):
        raise Problem(400, "the body is not a valid multipart form") from None
    pairs = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
    return Body(b"", _nested(pairs), is_form=True)


def _nested(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """`answers.symptoms=a&answers.symptoms=b` → {"answers": {"symptoms": ["a", "b"]}}."""
    fields: dict[str, Any] = {}
    for name, value in pairs:
        outer, dot, inner = name.partition(".")
        if dot and outer == "answers":
            answers = fields.setdefault("answers", {})
            if isinstance(answers, dict):
                _add(answers, inner, value)
        else:
            _add(fields, name, value)
    return fields


def _add(fields: dict[str, Any], name: str, value: str) -> None:
    if name not in fields:
        fields[name] = value
    elif isinstance(fields[name], list):
        fields[name].append(value)
    else:
        fields[name] = [fields[name], value]


_bearer = HTTPBearer(auto_error=False, description="From `followup staff add`")


def current_person(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Person:
    """Whoever of the staff is calling; Problem 401 otherwise."""
    token = credentials.credentials if credentials else ""
    with reading(service(request).engine) as session:
        person = staffing.find_by_token(session, token) if token else None
    if person is None:
        raise Problem(401, "a valid bearer token is needed", headers={"WWW-Authenticate": "Bearer"})
    return person


TheService = Annotated[Service, Depends(service)]
TheBell = Annotated[Bell, Depends(bell)]
TheBody = Annotated[Body, Depends(read_body)]
ThePerson = Annotated[Person, Depends(current_person)]
