"""What Twilio tells us: receipts and inbound texts, believed only when signed."""

import uuid
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from followup.bootstrap import Service
from followup.services import receiving
from followup.transports.twilio_proofs import is_signed
from followup.transports.twilio_texts import is_answered, meaning_of
from followup.transports.twilio_words import read_report
from followup.web.deps import TheForm, TheService
from followup.web.problems import Problem, describe

router = APIRouter(prefix="/webhooks/twilio", responses=describe(400, 403, 413, 415, 422, 503))

_SILENCE = '<?xml version="1.0" encoding="UTF-8"?><Response></Response>'
_FORM_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {"type": "object", "additionalProperties": {"type": "string"}}
            }
        },
    }
}


def signed_fields(request: Request, service: TheService, fields: TheForm) -> Mapping[str, Any]:
    """The form, if one of our tokens signed it for the public address. Problem 403 otherwise.

    The address is `PUBLIC_URL`'s, never the Host header's, which the caller chooses.
    """
    url = service.settings.public_url + request.url.path
    if request.url.query:
        url += f"?{request.url.query}"
    tokens = [token.get_secret_value() for token in service.settings.twilio_auth_tokens]
    signature = request.headers.get("x-twilio-signature", "")
    if not is_signed(tokens, url, fields, signature):
        raise Problem(403, "the signature is missing or not Twilio's")
    return fields


SignedFields = Annotated[Mapping[str, Any], Depends(signed_fields)]


@router.post(
    "/status/{delivery_id}",
    status_code=204,
    summary="A receipt",
    openapi_extra=_FORM_BODY,
    response_class=Response,
)
def status(service: TheService, delivery_id: uuid.UUID, fields: SignedFields) -> Response:
    said, code = _text(fields, "MessageStatus"), _text(fields, "ErrorCode")
    report = read_report(_text(fields, "MessageSid"), said, code)
    receiving.record_receipt(service.engine, service.planner, delivery_id, report, service.now())
    return Response(status_code=204)


@router.post(
    "/inbound",
    summary="A text from a patient",
    openapi_extra=_FORM_BODY,
    response_class=Response,
    responses={200: {"content": {"text/xml": {}}}},
)
def inbound(service: TheService, fields: SignedFields) -> Response:
    """Answers with silence: what is said back, if anything, is a delivery of its own."""
    body, opt_out_type = _text(fields, "Body"), _text(fields, "OptOutType")
    filter_on = service.settings.twilio_stop_filter == "on"
    text = receiving.Text(
        provider_id=_text(fields, "MessageSid")[:64],
        sender=_text(fields, "From"),
        body=body,
        recipient=_text(fields, "To"),
        provider_meaning=meaning_of(opt_out_type),
        is_answered=is_answered(body, opt_out_type, filter_on=filter_on),
    )
    _receive(service, text)
    return Response(_SILENCE, media_type="text/xml")


def _receive(service: Service, text: receiving.Text) -> None:
    receiving.receive_reply(service.engine, service.planner, text, service.now())


def _text(fields: Mapping[str, Any], name: str) -> str:
    """The field as text that PostgreSQL can hold."""
    value = fields.get(name, "")
    return value.replace("\x00", "") if isinstance(value, str) else ""
