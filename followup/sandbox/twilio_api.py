"""The part of Twilio's Messages API that the service uses, with the ways in which it fails.

Resource and routes: twilio.com/docs/messaging/api/message-resource.
"""

import hmac
import json
import re
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.utils import format_datetime
from http import HTTPStatus
from threading import Event
from urllib.parse import unquote, urlencode

from followup.sandbox.callbacks import Callbacks
from followup.sandbox.create_form import Refusal, refuse
from followup.sandbox.listener import Request, Response, Silence, json_response
from followup.sandbox.lives import RANKS, SENT, Life
from followup.sandbox.opt_outs import OptOuts
from followup.sandbox.outbox import Message, Outbox
from followup.sandbox.rules import Rules
from followup.sandbox.scripts import Script
from followup.sandbox.segments import count_segments

PREFIX = "/2010-04-01/"

_ROUTE = re.compile(r"/2010-04-01/Accounts/(\w+)/Messages(?:/(\w+))?\.json")
_NOT_FOUND = Refusal(20404, "The requested resource was not found", 404)
#: twilio.com/docs/api/errors/20009
_INCOMPLETE = Refusal(20009, "Cannot delete message because delivery has not been completed", 409)


@dataclass(frozen=True)
class Account:
    """The one account that the sandbox knows. `number` is what its messaging services send from.

    With `redaction`, as in an account for health data, bodies and numbers cannot be read back,
    and the built-in STOP filter is off.
    """

    sid: str
    auth_token: str
    number: str
    redaction: bool = False


class TwilioApi:
    """Answers requests below `/2010-04-01/`."""

    def __init__(
        self,
        account: Account,
        outbox: Outbox,
        callbacks: Callbacks,
        opt_outs: OptOuts,
        now: Callable[[], datetime],
    ) -> None:
        self._account = account
        self._outbox = outbox
        self._callbacks = callbacks
        self._opt_outs = opt_outs
        self._now = now
        self._stopping = Event()
        self.scripts: Rules[Script] = Rules()
        self.lives: Rules[Life] = Rules()
        #: What was asked of the API, for tests to look at.
        self.requests: deque[dict[str, object]] = deque(maxlen=10_000)

    def stop(self) -> None:
        """Ends the waiting of slow answers."""
        self._stopping.set()

    def answer(self, request: Request) -> Response | Silence:
        self._note(request)
        found = _ROUTE.fullmatch(request.path)
        refusal = self._refuse_caller(request, found[1] if found else None)
        if refusal is not None:
            return error_response(refusal)
        sid = found[2] if found else None
        match request.method, sid:
            case "POST", None:
                return self._create(request)
            case "GET", None:
                return self._list(request)
            case "GET" | "POST" | "DELETE", str(sid):
                return self._one(request, sid)
        return error_response(Refusal(20004, "Method not allowed", 405))

    def _note(self, request: Request) -> None:
        self.requests.append(
            {
                "method": request.method,
                "path": request.path,
                "query": request.query,
                "form": request.form() if request.is_form else {},
                "at": self._now().isoformat(),
            }
        )

    def _refuse_caller(self, request: Request, account_sid: str | None) -> Refusal | None:
        user, password = request.credentials() or ("", "")
        is_known = hmac.compare_digest(user.encode(), self._account.sid.encode())
        is_right = hmac.compare_digest(password.encode(), self._account.auth_token.encode())
        if not (is_known and is_right):
            return Refusal(20003, "Authenticate", 401)
        if account_sid != self._account.sid:
            return _NOT_FOUND
        if request.method == "POST" and not request.is_form:
            return Refusal(20001, "Expected application/x-www-form-urlencoded")
        return None

    def _create(self, request: Request) -> Response | Silence:
        form = request.form()
        refusal = refuse(form, redaction=self._account.redaction)
        if refusal is not None:
            return error_response(refusal)
        one = {name: values[0] for name, values in form.items()}
        script = self.scripts.take(one["To"]) or Script()
        if script.stores and self._is_opted_out(one) and "MessagingServiceSid" not in one:
            return error_response(Refusal(21610, "Attempt to send to unsubscribed recipient"))
        # Kept as it was at creation: by the time of the answer a life may have gone further.
        created = self._store(one, media=len(form.get("MediaUrl", []))) if script.stores else None
        return self._end(script, created)

    def _is_opted_out(self, one: dict[str, str]) -> bool:
        sender = one.get("MessagingServiceSid") or one.get("From", "")
        return self._opt_outs.is_opted_out(one["To"], sender)

    def _store(self, one: dict[str, str], media: int) -> Message:
        service = one.get("MessagingServiceSid") or None
        is_refused_later = service is not None and self._is_opted_out(one)
        life = Life(life="accepted_then_failed") if is_refused_later else self.lives.take(one["To"])
        life = (life or Life()).explicit()
        first = "queued" if service is None else "accepted"
        now = self._now()
        message = self._outbox.add(
            Message(
                id=f"{'MM' if media else 'SM'}{secrets.token_hex(16)}",
                channel="sms",
                to=one["To"],
                sender=one.get("From") or None,
                text=one.get("Body", ""),
                at=now,
                updated_at=now,
                status="scheduled" if one.get("ScheduleType") else first,
                service_sid=service,
                segments=count_segments(one.get("Body", "")),
                media=media,
                status_callback=one.get("StatusCallback") or None,
                life=life.life,
            )
        )
        if life.before_response:
            self._callbacks.live_through(message, life)
        elif message.status != "scheduled":
            self._callbacks.begin(message, life)
        return message

    def _end(self, script: Script, created: Message | None) -> Response | Silence:
        match script.script:
            case "slow":
                self._stopping.wait(script.seconds)
            case "accept_then_drop" | "drop_before":
                return Silence()
            case "hang":
                return Silence(script.seconds)
            case "garbled" if created is not None:
                return Response(201, json.dumps(self._resource(created)).encode()[:-20])
        if created is not None and script.script in ("ok", "slow"):
            return self._found(created, 201)
        return _failure(script)

    def _one(self, request: Request, sid: str) -> Response:
        message = self._outbox.find(sid)
        if message is None or message.channel != "sms":
            return error_response(_NOT_FOUND)
        if request.method == "POST":
            return self._update(request, message)
        if request.method == "DELETE":
            if _is_on_its_way(message):
                return error_response(_INCOMPLETE)
            self._outbox.remove(sid)
            self._forget(message)
            return Response(204)
        return self._found(message)

    def _update(self, request: Request, message: Message) -> Response:
        form = {name: values[0] for name, values in request.form().items()}
        changed: Message | None = None
        if form == {"Body": ""}:
            if _is_on_its_way(message):
                return error_response(_INCOMPLETE)
            changed = self._outbox.redact(message.id, self._now())
            self._forget(message)
        elif form == {"Status": "canceled"}:
            if message.status != "scheduled":
                return error_response(Refusal(30409, "Only a scheduled message can be canceled"))
            changed = self._outbox.change(message.id, status="canceled", updated_at=self._now())
        else:
            return error_response(Refusal(20001, "Expected an empty Body, or Status=canceled"))
        return self._found(changed) if changed else error_response(_NOT_FOUND)

    def _forget(self, message: Message) -> None:
        """What was said and asked about it, too: a number is as personal as a text."""
        self._callbacks.forget(message.id)
        number = message.sender if message.direction == "inbound" else message.to
        for noted in self.requests:
            if number and number in f"{noted['form']} {unquote(str(noted['query']))}":
                noted.update(form={}, query="")

    def _list(self, request: Request) -> Response:
        asked = request.arguments()
        try:
            dates = _Dates.parse(asked)
            size = min(max(int(asked.get("PageSize", "50")), 1), 1000)
            page = max(int(asked.get("Page", "0")), 0)
        except ValueError:
            return error_response(Refusal(20001, "Invalid DateSent, PageSize or Page"))
        newest_first = self._outbox.list_messages(channel="sms")[::-1]
        matching = [message for message in newest_first if self._matches(message, asked, dates)]
        start = _start(matching, asked.get("PageToken"), page * size)
        shown = matching[start : start + size]
        is_last = start + size >= len(matching)
        following = {**asked, "Page": str(page + 1), "PageSize": str(size)}
        if shown:
            # A token rather than a count: new messages must not shift what follows.
            following["PageToken"] = f"PA{shown[-1].id}"
        preceding = {**asked, "Page": str(page - 1), "PageSize": str(size)}
        preceding.pop("PageToken", None)
        path = request.path
        return json_response(
            200,
            {
                "messages": [self._resource(message) for message in shown],
                "page": page,
                "page_size": size,
                "start": page * size,
                "end": page * size + max(len(shown) - 1, 0),
                "uri": f"{path}?{request.query}" if request.query else path,
                "first_page_uri": _uri(path, {**asked, "Page": "0", "PageSize": str(size)}),
                "next_page_uri": None if is_last else _uri(path, following),
                "previous_page_uri": None if page == 0 else _uri(path, preceding),
            },
        )

    def _matches(self, message: Message, asked: dict[str, str], dates: "_Dates") -> bool:
        """A message not yet sent counts from its creation."""
        if self._account.redaction and ("To" in asked or "From" in asked):
            return False
        if asked.get("To") and message.to != asked["To"]:
            return False
        if asked.get("From") and message.sender != asked["From"]:
            return False
        return dates.hold(message.sent_at or message.at)

    def _found(self, message: Message, status: int = 200) -> Response:
        headers = {"Twilio-Request-Id": f"RQ{secrets.token_hex(16)}"}
        return json_response(status, self._resource(message), headers)

    def _resource(self, message: Message) -> dict[str, object]:
        """Twilio's own shape: counts are text, dates RFC 2822."""
        home = f"/2010-04-01/Accounts/{self._account.sid}/Messages/{message.id}"
        redacted = self._account.redaction
        is_counted = message.status not in ("accepted", "scheduled")
        return {
            "account_sid": self._account.sid,
            "api_version": "2010-04-01",
            "body": "" if redacted else message.text,
            "date_created": format_datetime(message.at),
            "date_sent": format_datetime(message.sent_at) if message.sent_at else None,
            "date_updated": format_datetime(message.updated_at),
            "direction": message.direction,
            "error_code": message.error_code,
            "error_message": None,
            "from": message.sender,
            "messaging_service_sid": message.service_sid,
            "num_media": str(message.media),
            "num_segments": str(message.segments) if is_counted else "0",
            "price": None,
            "price_unit": None,
            "sid": message.id,
            "status": message.status,
            "subresource_uris": {"media": f"{home}/Media.json"},
            "to": message.to[:-4] + "XXXX" if redacted else message.to,
            "uri": f"{home}.json",
        }


@dataclass(frozen=True)
class _Dates:
    """The three `DateSent` filters. A date means its midnight, in UTC."""

    on: datetime | None
    until: datetime | None
    since: datetime | None

    @classmethod
    def parse(cls, asked: dict[str, str]) -> "_Dates":
        """Raises `ValueError`."""
        texts = (asked.get(f"DateSent{sign}") for sign in ("", "<", ">"))
        return cls(*(_moment(text) if text else None for text in texts))

    def hold(self, at: datetime) -> bool:
        return (
            (self.on is None or at.astimezone(UTC).date() == self.on.date())
            and (self.until is None or at <= self.until)
            and (self.since is None or at >= self.since)
        )


def _is_on_its_way(message: Message) -> bool:
    return RANKS.get(message.status, SENT) < SENT


def error_response(refusal: Refusal) -> Response:
    """Twilio's own error body."""
    return json_response(
        refusal.status,
        {
            "code": refusal.code,
            "message": refusal.message,
            "more_info": f"https://www.twilio.com/docs/errors/{refusal.code}",
            "status": refusal.status,
        },
    )


def _failure(script: Script) -> Response:
    match script.script:
        case "error" if script.problem_json:
            return _problem(script)
        case "error":
            return error_response(Refusal(script.code, script.message, script.status))
        case "throttle":
            refused = error_response(Refusal(20429, "Too Many Requests", 429))
            after = script.retry_after
            headers = {} if after is None else {"Retry-After": str(after)}
            return Response(429, refused.body, headers=headers)
        case "unavailable":
            return error_response(Refusal(20503, "Service unavailable", 503))
        case "502_html":
            return _gateway_page(HTTPStatus.BAD_GATEWAY)
        case "504":
            return _gateway_page(HTTPStatus.GATEWAY_TIMEOUT)
    return error_response(Refusal(20500, "An internal server error has occurred", 500))


def _problem(script: Script) -> Response:
    """RFC 9457, as Twilio's newer services answer."""
    body = {
        "type": f"https://www.twilio.com/docs/errors/{script.code}",
        "title": script.message,
        "status": script.status,
        "code": script.code,
    }
    return Response(script.status, json.dumps(body).encode(), "application/problem+json")


def _gateway_page(status: HTTPStatus) -> Response:
    page = f"<html><body><h1>{status.value} {status.phrase}</h1></body></html>"
    return Response(status.value, page.encode(), "text/html")


def _start(matching: Sequence[Message], token: str | None, default: int) -> int:
    if token is None:
        return default
    places = (place for place, message in enumerate(matching) if f"PA{message.id}" == token)
    return next(places, len(matching)) + 1


def _moment(text: str) -> datetime:
    """A date is its midnight. Raises `ValueError`."""
    if len(text) == len("YYYY-MM-DD"):
        return datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _uri(path: str, arguments: dict[str, str]) -> str:
    return f"{path}?{urlencode(arguments)}"
