"""What every route shares: the service, who is calling, and the body as a mapping."""

import json
from dataclasses import dataclass
from typing import Annotated, Any, cast
from urllib.parse import parse_qsl

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import parse_options_header
from starlette.exceptions import HTTPException

from followup.bell import Bell
from followup.bootstrap import Service
from followup.errors import Fault
from followup.services import staffing
from followup.store.db import reading
from followup.store.models import Person
from followup.web.access import demand
from followup.web.problems import Problem

#: More pairs than any form of ours has; a body of "&&&&" must not cost more than it weighs.
FIELD_LIMIT = 200


Fields = dict[str, Any]


@dataclass(frozen=True)
class Body:
    """A request's body as fields; a repeated field of a form is a list."""

    fields: Fields
    is_form: bool


# Not `def`: the framework would hand each of these to a thread, and wait for it.


async def service(request: Request) -> Service:
    return _service_of(request)


async def bell(request: Request) -> Bell:
    return cast(Bell, request.app.state.bell)


def _service_of(request: Request) -> Service:
    return cast(Service, request.app.state.service)


async def read_body(request: Request) -> Body:
    """JSON or a form; `answers.x` of a form is `x` in `answers`. Raises Problem 400 or 415."""
    if _media_type(request) == "application/json":
        return Body(_read_json(await request.body()), is_form=False)
    return Body(_nested(await _read_form(request)), is_form=True)


async def read_form(request: Request) -> Fields:
    """The fields of a form by the names that it gave them. Raises Problem 400 or 415."""
    fields: Fields = {}
    for name, value in await _read_form(request):
        _add(fields, name, value)
    return fields


def _media_type(request: Request) -> str:
    """Without its parameters. Problem 415 for another encoding than UTF-8."""
    header = request.headers.get("content-type", "")
    kind, parameters = parse_options_header(header)
    charset = parameters.get(b"charset", b"utf-8").decode("latin-1")
    if charset.lower() not in ("utf-8", "utf8", "us-ascii"):
        raise Problem(415, "Content-Type must say charset=utf-8, or nothing of it")
    return kind.decode("latin-1").strip().lower()


def _read_json(raw: bytes) -> Fields:
    try:
        value = json.loads(raw.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise Problem(400, "the body is not valid JSON in UTF-8") from None
    if not isinstance(value, dict):
        raise Problem(422, "the body must be a JSON object", [Fault("body", "must be an object")])
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


async def _read_form(request: Request) -> list[tuple[str, str]]:
    kind = _media_type(request)
    if kind == "multipart/form-data":
        return await _read_multipart(request)
    if kind == "application/x-www-form-urlencoded":
        return _read_urlencoded(await request.body())
    if not kind and not await request.body():
        return []
    raise Problem(415, "Content-Type must be application/json or a form's")


def _read_urlencoded(raw: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            raw.decode(),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=FIELD_LIMIT,
        )
    except ValueError:
        raise Problem(400, "the body is not a valid form in UTF-8") from None


async def _read_multipart(request: Request) -> list[tuple[str, str]]:
    try:
        form = await request.form(max_files=0, max_fields=FIELD_LIMIT)
    except Problem:
        raise
    except (HTTPException, MultipartParseError, ValueError, KeyError):
        raise Problem(400, "the body is not a valid multipart form, or has files in it") from None
    return [(name, value) for name, value in form.multi_items() if isinstance(value, str)]


def _nested(pairs: list[tuple[str, str]]) -> Fields:
    """`answers.symptoms=a&answers.symptoms=b` → {"answers": {"symptoms": ["a", "b"]}}."""
    fields: Fields = {}
    answers: Fields = {}
    for name, value in pairs:
        outer, dot, inner = name.partition(".")
        if dot and outer == "answers":
            _add(answers, inner, value)
        else:
            _add(fields, name, value)
    if answers:
        _add(fields, "answers", answers)
    return fields


def _add(fields: Fields, name: str, value: Any) -> None:
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
    """Whoever of the staff is calling; Problem 401 otherwise, and 403 for another role's route."""
    token = credentials.credentials if credentials else ""
    with reading(_service_of(request).engine) as session:
        person = staffing.find_by_token(session, token) if token else None
    if person is None:
        raise Problem(401, "a valid bearer token is needed", headers={"WWW-Authenticate": "Bearer"})
    demand(request, person)
    return person


TheService = Annotated[Service, Depends(service)]
TheBell = Annotated[Bell, Depends(bell)]
TheBody = Annotated[Body, Depends(read_body)]
TheForm = Annotated[Fields, Depends(read_form)]
ThePerson = Annotated[Person, Depends(current_person)]
