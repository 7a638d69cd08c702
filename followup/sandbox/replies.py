"""The patient's answer: an inbound text, recorded here and posted to the service as Twilio does."""

import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from followup.sandbox.create_form import MAX_BODY, is_phone
from followup.sandbox.opt_outs import CONFIRMATIONS, OptOuts, classify
from followup.sandbox.outbox import Message, Outbox
from followup.sandbox.segments import count_segments
from followup.sandbox.signed_posts import Webhooks
from followup.sandbox.twilio_api import Account

INBOUND_PATH = "/webhooks/twilio/inbound"


def _phone(text: str) -> str:
    if not is_phone(text):
        raise ValueError("expected a number such as +14155550100")
    return text


Phone = Annotated[str, AfterValidator(_phone)]


class Reply(BaseModel):
    """`POST /replies`. `to` is by default the number that wrote to the patient last."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sender: Phone = Field(alias="from")
    body: str = Field(default="", max_length=MAX_BODY)
    to: Phone | None = None
    #: Pictures; an answer with pictures may lack text.
    media: int = Field(default=0, ge=0, le=10)
    #: So many deliveries of the same text more, as after a timeout of ours.
    repeat: int = Field(default=0, ge=0, le=10)


class Replies:
    """Takes the patient's answers. `public_url` is asked each time: it may become known late."""

    def __init__(
        self,
        account: Account,
        outbox: Outbox,
        opt_outs: OptOuts,
        webhooks: Webhooks,
        public_url: Callable[[], str],
        now: Callable[[], datetime],
    ) -> None:
        self._account = account
        self._outbox = outbox
        self._opt_outs = opt_outs
        self._webhooks = webhooks
        self._public_url = public_url
        self._now = now

    def restore(self) -> None:
        """Learns from the outbox who had stopped whom before a restart."""
        for message in self._outbox.list_messages(direction="inbound"):
            senders = (message.to, message.service_sid)
            self._opt_outs.apply(message.opt_out, message.sender or "", senders)

    def receive(self, reply: Reply) -> dict[str, object]:
        """Whether the service took it, its HTTP status (null: no answer), and the text's SID."""
        text = self._record(reply)
        url = self._public_url().rstrip("/") + INBOUND_PATH
        token = {"I-Twilio-Idempotency-Token": secrets.token_hex(16)}
        fields = self._fields(text)
        call = self._webhooks.post(url, fields, headers=token)
        for _ in range(reply.repeat):
            call = self._webhooks.post(url, fields, headers=token)
        self._confirm(text)
        return {"delivered": call.is_delivered, "status": call.answer, "id": text.id}

    def _record(self, reply: Reply) -> Message:
        last = self._last_to(reply.sender)
        service = last.service_sid if last else None
        number = reply.to or (last.sender if last else None) or self._account.number
        kind = None if self._account.redaction else classify(reply.body)
        self._opt_outs.apply(kind, reply.sender, (number, service))
        return self._add(
            prefix="MM" if reply.media else "SM",
            to=number,
            sender=reply.sender,
            text=reply.body,
            direction="inbound",
            status="received",
            service_sid=service,
            media=reply.media,
            opt_out=kind,
        )

    def _confirm(self, text: Message) -> None:
        """What Twilio itself answers to STOP, START and HELP."""
        if text.opt_out is not None:
            self._add(
                prefix="SM",
                to=str(text.sender),
                sender=text.to,
                text=CONFIRMATIONS[text.opt_out],
                direction="outbound-reply",
                status="delivered",
            )

    def _last_to(self, number: str) -> Message | None:
        sent = self._outbox.list_messages(to=number, channel="sms", direction="outbound-api")
        return sent[-1] if sent else None

    def _add(
        self,
        *,
        prefix: str,
        to: str,
        sender: str,
        text: str,
        direction: str,
        status: str,
        service_sid: str | None = None,
        media: int = 0,
        opt_out: str | None = None,
    ) -> Message:
        now = self._now()
        return self._outbox.add(
            Message(
                id=f"{prefix}{secrets.token_hex(16)}",
                channel="sms",
                to=to,
                sender=sender,
                text=text,
                at=now,
                updated_at=now,
                sent_at=now,
                direction=direction,
                status=status,
                service_sid=service_sid,
                segments=count_segments(text),
                media=media,
                opt_out=opt_out,
            )
        )

    def _fields(self, text: Message) -> dict[str, str]:
        """Twilio's field set; what it knows about the number's home is blank where unknown."""
        fields = {
            "ToCountry": "US",
            "ToState": "CA",
            "ToCity": "",
            "ToZip": "",
            "FromCountry": "US",
            "FromState": "CA",
            "FromCity": "",
            "FromZip": "",
            "SmsMessageSid": text.id,
            "SmsSid": text.id,
            "MessageSid": text.id,
            "SmsStatus": "received",
            "NumMedia": str(text.media),
            "NumSegments": str(text.segments),
            "Body": text.text,
            "From": str(text.sender),
            "To": text.to,
            "AccountSid": self._account.sid,
            "ApiVersion": "2010-04-01",
        }
        if text.service_sid is not None:
            fields["MessagingServiceSid"] = text.service_sid
        if text.opt_out is not None:
            fields["OptOutType"] = text.opt_out
        for number in range(text.media):
            fields[f"MediaUrl{number}"] = f"https://example.com/media/{text.id}/{number}"
            fields[f"MediaContentType{number}"] = "image/jpeg"
        return fields
