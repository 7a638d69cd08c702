"""The sandbox as a whole: its doors, its routes, its life."""

import json
import signal
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from followup.sandbox.callbacks import Callbacks
from followup.sandbox.listener import (
    HttpListener,
    Request,
    Response,
    Silence,
    json_response,
)
from followup.sandbox.lives import Life
from followup.sandbox.mail import MailDoor, MailListener
from followup.sandbox.mail_scripts import MailScript
from followup.sandbox.opt_outs import OptOuts
from followup.sandbox.outbox import Message, Outbox
from followup.sandbox.page import Page
from followup.sandbox.replies import Replies, Reply
from followup.sandbox.rules import ANY
from followup.sandbox.scripts import Script
from followup.sandbox.signed_posts import Call, Webhooks
from followup.sandbox.twilio_api import PREFIX, Account, TwilioApi

#: Reserved for examples; it belongs to no clinic.
NUMBER = "+19495550100"


def real_time() -> datetime:
    return datetime.now(UTC)


class Sandbox:
    """A Twilio-compatible provider, a mail server, and the page that shows what they took.

    Port 0 picks a free port. `now` is the service's clock; lives and timeouts run on real time,
    `pace` seconds before each status. With `state_file` a killed sandbox knows on its return what
    it had taken. Raises `Misconfigured` for a busy port.
    """

    def __init__(
        self,
        *,
        account_sid: str,
        auth_token: str,
        host: str = "127.0.0.1",
        port: int = 8025,
        smtp_port: int = 8026,
        public_url: str = "http://127.0.0.1:8000",
        now: Callable[[], datetime] = real_time,
        state_file: Path | None = None,
        number: str = NUMBER,
        previous_auth_token: str | None = None,
        redaction: bool = False,
        mail_door: MailDoor | None = None,
        zone: tzinfo = UTC,
        pace: float = 0.05,
    ) -> None:
        account = Account(account_sid, auth_token, number, redaction)
        #: Where inbound texts go; may be set once the service's port is known.
        self.public_url = public_url
        self._host = host
        self._door = mail_door or MailDoor()
        self._outbox = Outbox(state_file)
        self._opt_outs = OptOuts()
        self._webhooks = Webhooks(auth_token, previous_auth_token)
        self._callbacks = Callbacks(self._outbox, self._webhooks, account_sid, number, now, pace)
        self._api = TwilioApi(account, self._outbox, self._callbacks, self._opt_outs, now)
        self._replies = Replies(
            account, self._outbox, self._opt_outs, self._webhooks, lambda: self.public_url, now
        )
        self._page = Page(zone)
        self._http = HttpListener(host, port, self._answer, "FOLLOWUP_SANDBOX_PORT")
        try:
            self._mail = MailListener(
                host, smtp_port, self._outbox, now, self._door, "FOLLOWUP_SANDBOX_SMTP_PORT"
            )
        except BaseException:
            self._http.server_close()
            raise

    def start(self) -> None:
        self._replies.restore()
        self._callbacks.start()
        self._http.start()
        self._mail.start()

    def stop(self) -> None:
        """Cuts every connection, as a kill would, and forgets nothing that is in the file."""
        self._api.stop()
        self._callbacks.stop()
        self._webhooks.stop()
        self._http.stop()
        self._mail.stop()
        self._outbox.close()

    def __enter__(self) -> "Sandbox":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Of the page, and what `client.api.base_url` of Twilio's library is set to."""
        return f"http://{self._host}:{self._http.port}"

    @property
    def smtp_url(self) -> str:
        scheme = "smtps" if self._door.implicit_tls else "smtp"
        login = ""
        if self._door.user is not None:
            login = (
                f"{quote(self._door.user, safe='')}:{quote(self._door.password or '', safe='')}@"
            )
        return f"{scheme}://{login}{self._host}:{self._mail.port}"

    def messages(
        self,
        *,
        to: str | None = None,
        channel: str | None = None,
        direction: str | None = "outbound-api",
    ) -> list[Message]:
        """What the service sent, newest last. `direction=None` adds the patients' answers and the
        provider's own texts."""
        return self._outbox.list_messages(to=to, channel=channel, direction=direction)

    def calls(self) -> list[Call]:
        """The latest webhooks, oldest first."""
        return list(self._webhooks.calls)

    def requests(self) -> list[dict[str, object]]:
        """The latest requests to the Messages API, oldest first."""
        return list(self._api.requests)

    def script(self, script: str, to: str = ANY, times: int | None = 1, **settings: object) -> None:
        """How the next `times` create calls for that number end; `times=None`: all of them."""
        rule = Script.model_validate({"script": script, **settings})
        self._api.scripts.add(to, rule, times)

    def life(self, life: str, to: str = ANY, times: int | None = None, **settings: object) -> None:
        """What becomes of the texts to that number from now on."""
        rule = Life.model_validate({"life": life, **settings})
        self._api.lives.add(to, rule, times)

    def mail_script(
        self, script: str, to: str = ANY, times: int | None = 1, **settings: object
    ) -> None:
        """How the next `times` mails to that address end."""
        rule = MailScript.model_validate({"script": script, **settings})
        self._mail.scripts.add(to, rule, times)

    def reply(self, sender: str, body: str, **settings: object) -> dict[str, object]:
        """The patient answers; see `Replies.receive`."""
        reply = Reply.model_validate({"from": sender, "body": body, **settings})
        return self._replies.receive(reply)

    def reset(self) -> None:
        """As new: no message, rule, opt-out or record is left."""
        self._api.scripts.clear()
        self._api.lives.clear()
        self._mail.scripts.clear()
        self._callbacks.clear()
        self._opt_outs.clear()
        self._outbox.clear()
        self._api.requests.clear()
        self._webhooks.calls.clear()

    def settle(self, timeout: float = 5) -> bool:
        """Waits until every text has lived its life and every callback is done."""
        return self._callbacks.settle(timeout)

    def _answer(self, request: Request) -> Response | Silence:
        if request.path.startswith(PREFIX):
            return self._api.answer(request)
        if _is_foreign(request):
            return _refuse(403, "expected a request from the sandbox's own page or from a script")
        try:
            return self._route(request)
        except ValidationError as error:
            return _refuse(400, _sentence(error))
        except ValueError as error:
            return _refuse(400, str(error))

    def _route(self, request: Request) -> Response:
        match request.method, request.path:
            case "GET", "/":
                return self._page.render(self._outbox.list_messages(), self._outbox.revision)
            case "GET", "/messages":
                return self._list(request.arguments())
            case "GET", "/revision":
                return Response(200, str(self._outbox.revision).encode(), "text/plain")
            case "GET", "/healthz":
                return json_response(200, {"status": "ok"})
            case "POST", "/replies":
                return self._reply(request)
            case "GET", "/__sim/requests":
                return json_response(200, self.requests())
            case "GET", "/__sim/calls":
                return json_response(200, [_shown(call) for call in self.calls()])
            case "POST", "/__sim/reset":
                self.reset()
                return Response(204)
            case "POST", "/__sim/script" | "/__sim/life" | "/__sim/mail-script":
                return self._lay_down(request)
            case "GET", path if asset := self._page.asset(path):
                return asset
        return _refuse(404, f"no such route: {request.method} {request.path}")

    def _list(self, arguments: Mapping[str, str]) -> Response:
        direction = arguments.get("direction", "outbound-api")
        messages = self.messages(
            to=arguments.get("to"),
            channel=arguments.get("channel"),
            direction=None if direction == "all" else direction,
        )
        return json_response(200, [message.shown() for message in messages])

    def _reply(self, request: Request) -> Response:
        reply = Reply.model_validate(_fields(request))
        result = self._replies.receive(reply)
        if request.is_form and "text/html" in request.headers.get("accept", ""):
            # The page without its script.
            return Response(303, headers={"Location": "/"})
        return json_response(200 if result["delivered"] else 202, result)

    def _lay_down(self, request: Request) -> Response:
        fields = _fields(request)
        scope = _Scope.model_validate({k: v for k, v in fields.items() if k in ("to", "times")})
        settings = {k: v for k, v in fields.items() if k not in ("to", "times")}
        lay: dict[str, Callable[..., None]] = {
            "/__sim/script": self.script,
            "/__sim/life": self.life,
            "/__sim/mail-script": self.mail_script,
        }
        name = "life" if request.path == "/__sim/life" else "script"
        what = settings.pop(name, None)
        if what is None:
            raise ValueError(f"{name}: expected the name of one")
        lay[request.path](what, **scope.model_dump(exclude_unset=True), **settings)
        return Response(204)


class _Scope(BaseModel):
    model_config = ConfigDict(extra="forbid")

    to: str = ANY
    times: int | None = Field(default=1, ge=1)


def serve(sandbox: Sandbox) -> None:
    """Runs it in the main thread's stead until SIGTERM or SIGINT."""
    ending = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    with sandbox:
        ending.wait()


def _fields(request: Request) -> dict[str, Any]:
    """A JSON object, or a form's first values. Raises `ValueError`."""
    if request.is_form:
        return {name: values[0] for name, values in request.form().items()}
    try:
        fields = json.loads(request.body or b"{}")
    except ValueError as error:
        raise ValueError("expected JSON or a form") from error
    if not isinstance(fields, dict):
        raise ValueError("expected a JSON object")
    return fields


def _is_foreign(request: Request) -> bool:
    """Posted by a page of another site in a browser on this machine."""
    origin = request.headers.get("origin")
    if request.method == "GET" or origin is None:
        return False
    return origin.partition("://")[2] != request.headers.get("host")


def _refuse(status: int, message: str) -> Response:
    return json_response(status, {"message": message})


def _sentence(error: ValidationError) -> str:
    faults = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
    return "; ".join(faults)


def _shown(call: Call) -> dict[str, object]:
    return {
        "url": call.url,
        "fields": dict(call.fields),
        "answer": call.answer,
        "tries": call.tries,
    }
