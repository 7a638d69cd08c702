"""What mail providers tell us, each believed by its own proof."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import SecretStr

from followup.bootstrap import Service
from followup.errors import TemporaryFailure
from followup.services import bouncing
from followup.transports import mail_events, mail_proofs
from followup.transports.mail_events import MailEvent
from followup.transports.mail_proofs import MailgunTokens
from followup.transports.sns import Fetch, Sns, fetch
from followup.web.deps import TheService
from followup.web.problems import Problem, describe

router = APIRouter(
    prefix="/webhooks/mail",
    responses=describe(
        *(400, 401, 403, 404, 413, 503),
        _401="Postmark: not the password",
        _403="Not signed by the provider",
        _404="No such provider, or none that is set up",
        _413="Larger than 1 MiB",
        _503="The database does not answer, or Amazon does not",
    ),
)


@dataclass
class Memory:
    """What is remembered between calls, and how Amazon is asked."""

    tokens: MailgunTokens = field(default_factory=MailgunTokens)
    fetch: Fetch = fetch
    #: By topic; each keeps the certificates that it has seen.
    topics: dict[str, Sns] = field(default_factory=dict)

    def sns(self, topic: str) -> Sns:
        return self.topics.setdefault(topic, Sns(topic, self.fetch))


@dataclass(frozen=True)
class _Call:
    """One post, as it came."""

    service: Service
    memory: Memory
    body: bytes
    headers: Mapping[str, str]

    def json(self) -> Any:
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise Problem(400, "the body is not valid JSON in UTF-8") from None

    def json_object(self) -> dict[str, Any]:
        found = self.json()
        if not isinstance(found, dict):
            raise Problem(400, "the body must be a JSON object")
        return found


def _sendgrid(call: _Call) -> list[MailEvent]:
    key = _needed(call.service.settings.sendgrid_webhook_key)
    stamp = call.headers.get("x-twilio-email-event-webhook-timestamp", "")
    signature = call.headers.get("x-twilio-email-event-webhook-signature", "")
    _demand(mail_proofs.is_from_sendgrid(key, call.body, stamp, signature, call.service.now()))
    return mail_events.read_sendgrid(call.json())


def _mailgun(call: _Call) -> list[MailEvent]:
    key, body = _secret(call.service.settings.mailgun_signing_key), call.json_object()
    _demand(mail_proofs.is_from_mailgun(key, body.get("signature"), call.service.now()))
    _demand(call.memory.tokens.vouches(body))
    return mail_events.read_mailgun(body)


def _postmark(call: _Call) -> list[MailEvent]:
    token = _secret(call.service.settings.postmark_webhook_token)
    if not mail_proofs.is_from_postmark(token, call.headers.get("authorization", "")):
        asked = {"WWW-Authenticate": 'Basic realm="webhooks"'}
        raise Problem(401, "the password is missing or wrong", headers=asked)
    return mail_events.read_postmark(call.json_object())


def _ses(call: _Call) -> list[MailEvent]:
    sns = call.memory.sns(_needed(call.service.settings.ses_topic_arn))
    message = call.json_object()
    _demand(sns.is_signed(message))
    if message["Type"] == "SubscriptionConfirmation":
        _demand(sns.confirm(message))
    if message["Type"] != "Notification":
        return []
    try:
        event = json.loads(str(message.get("Message")))
    except (ValueError, RecursionError):
        # Amazon greets a new topic in plain words.
        return []
    return mail_events.read_ses(event, str(message.get("MessageId")))


def _needed(setting: str | None) -> str:
    if setting is None:
        raise Problem(404, "this mail provider is not set up")
    return setting


def _secret(setting: SecretStr | None) -> str:
    return _needed(setting.get_secret_value() if setting else None)


def _demand(is_proven: bool) -> None:
    if not is_proven:
        raise Problem(403, "the signature is missing or not the provider's")


_PROVIDERS: Mapping[str, Callable[[_Call], list[MailEvent]]] = {
    "sendgrid": _sendgrid,
    "mailgun": _mailgun,
    "postmark": _postmark,
    "ses": _ses,
}


async def raw_body(request: Request) -> bytes:
    """Before anything is read into it: what is signed is the bytes."""
    return await request.body()


@router.post(
    "/{provider}",
    summary="What became of mails",
    response_class=Response,
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {}}}},
)
def mail_webhook(
    request: Request,
    service: TheService,
    provider: Annotated[str, Path(json_schema_extra={"enum": list(_PROVIDERS)})],
    body: Annotated[bytes, Depends(raw_body)],
) -> Response:
    """Answers with 200, which is the one answer that every provider takes for a yes."""
    read = _PROVIDERS.get(provider)
    if read is None:
        raise Problem(404, "there is no such mail provider")
    memory: Memory = request.app.state.mail_memory
    try:
        events = read(_Call(service, memory, body, request.headers))
    except TemporaryFailure:
        raise Problem(503, "Amazon could not be asked; try again") from None
    for event in events:
        bouncing.record_mail_event(service.engine, service.planner, event, service.now())
    return Response()
