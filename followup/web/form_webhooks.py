"""What form vendors post: believed by each one's proof, kept before anything else is done."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import parse_qsl

import structlog
from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse
from python_multipart.exceptions import MultipartParseError
from starlette.exceptions import HTTPException

from followup.clinic_sources import Proof, Source, Vendor, secrets_of
from followup.errors import KeyReused
from followup.services import collecting
from followup.transports import form_bodies
from followup.transports.form_proofs import Post, is_proven
from followup.web.deps import TheBell, TheService
from followup.web.problems import Problem, describe

log = structlog.get_logger()

#: More than any vendor's form has.
FIELD_LIMIT = 2000

router = APIRouter(
    prefix="/webhooks/forms",
    responses=describe(
        *(401, 404, 409, 413, 429, 503),
        _401="The signature, the key, or the time of it is missing or wrong",
        _404="No such source in clinic.toml",
        _409="The same id came before with other content; this is kept for staff",
        _413="Larger than 256 KiB",
    ),
)


@dataclass(frozen=True)
class _Delivery:
    """A post that was proven, with its body as JSON, as a form's fields, or as text."""

    source: Source
    document: Any
    key: str | None


async def delivery(request: Request, service: TheService, source: str) -> _Delivery:
    """Verified before it is read: 404 for a source that nobody declared, 401 without a proof."""
    found = service.clinic.find_source(source)
    if found is None:
        raise Problem(404, "there is no such source")
    url = service.settings.public_url + request.url.path
    if request.url.query:
        url += f"?{request.url.query}"
    body = await request.body()
    post = Post(request.method, url, request.headers, body, request.path_params.get("key", ""))
    secrets = secrets_of(found, service.settings.form_secrets)
    if not is_proven(found, secrets, post, service.now()):
        log.warning("a form's post is not proven", source=found.name)
        raise Problem(401, "the signature, the key, or the time of it is missing or wrong")
    return _Delivery(found, await _read(request, body), _key(request, found))


def _key(request: Request, source: Source) -> str | None:
    """The id in a header; beside a signature, which covers no other, only that of Standard
    Webhooks: or a post that somebody has caught would be new under each id that they give it."""
    if source.vendor is Vendor.standard:
        return request.headers.get("webhook-id") or None
    is_signed = source.proven_by is Proof.signature
    return None if is_signed else request.headers.get("idempotency-key") or None


async def _read(request: Request, body: bytes) -> Any:
    """What cannot be read is text: it is kept all the same."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == "application/x-www-form-urlencoded":
            pairs = parse_qsl(
                body.decode(), keep_blank_values=True, errors="strict", max_num_fields=FIELD_LIMIT
            )
            return _fields(pairs)
        if kind == "multipart/form-data":
            async with request.form(max_files=FIELD_LIMIT, max_fields=FIELD_LIMIT) as form:
                # Of a file its name: nobody here opens what a stranger has sent.
                pairs = [
                    (name, value if isinstance(value, str) else value.filename or "")
                    for name, value in form.multi_items()
                ]
            return _fields(pairs)
        return json.loads(body.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError, KeyError, HTTPException, MultipartParseError):
        return body.decode(errors="replace")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _fields(pairs: list[tuple[str, str]]) -> Mapping[str, Any]:
    """A repeated field is a list; `name[]` is how PHP writes one."""
    fields: dict[str, Any] = {}
    for name, value in pairs:
        name = name.removesuffix("[]")
        if name in fields:
            before = fields[name]
            fields[name] = [*(before if isinstance(before, list) else [before]), value]
        else:
            fields[name] = value
    return fields


TheDelivery = Annotated[_Delivery, Depends(delivery)]

_DESCRIBED: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {},
            "application/x-www-form-urlencoded": {},
            "multipart/form-data": {},
        },
    }
}


@router.post(
    "/{source}",
    summary="A form vendor's submission, signed or with a bearer key",
    openapi_extra=_DESCRIBED,
    response_class=JSONResponse,
)
def post_form(
    request: Request, service: TheService, bell: TheBell, source: str, sent: TheDelivery
) -> JSONResponse:
    """Answers with 200, which is the one answer that every vendor takes for a yes."""
    return _collect(request, service, bell, sent)


@router.post(
    "/{source}/{key}",
    summary="A submission of a vendor that signs nothing: the key is in the address",
    openapi_extra=_DESCRIBED,
    response_class=JSONResponse,
)
def post_form_by_path(
    request: Request, service: TheService, bell: TheBell, source: str, key: str, sent: TheDelivery
) -> JSONResponse:
    return _collect(request, service, bell, sent)


def _collect(request: Request, service: TheService, bell: TheBell, sent: _Delivery) -> JSONResponse:
    documents = form_bodies.split(sent.source, sent.document)
    taken, is_in_conflict = [], False
    for document in documents:
        try:
            one = collecting.collect(
                service.engine,
                service.clinic,
                sent.source,
                document,
                now=service.now(),
                key=sent.key if len(documents) == 1 else None,
                sender=request.client.host if request.client else None,
                limits=service.limits if service.settings.knows_addresses else None,
            )
        except KeyReused:
            # What else came in this post is taken all the same.
            is_in_conflict = True
            continue
        if one.is_new and one.problem is None:
            bell.ring("intake")
        taken.append(_shown(one))
    if is_in_conflict:
        raise Problem(409, "the same id came before with other content; this is kept for staff")
    return JSONResponse(taken[0] if len(taken) == 1 else {"submissions": taken})


def _shown(one: collecting.Collected) -> dict[str, Any]:
    shown = {"submission_id": str(one.submission_id), "status": "accepted"}
    return shown if one.problem is None else shown | {"status": "kept", "problem": one.problem}
