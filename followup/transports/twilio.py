"""Texts by Twilio Programmable Messaging. Vendor words and codes end here."""

import re
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import requests
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from followup.errors import (
    OutcomeUnknown,
    TemporaryFailure,
)
from followup.transports.base import Finding, Lost, Outgoing, Report
from followup.transports.twilio_words import (
    LONGEST_WAIT,
    classify,
    classify_connection,
    read_report,
)

#: Each for connecting and for the answer of one HTTP call, so that both together stay below the
#: limit of a call. The client's own default is to wait for ever.
CALL_TIMEOUT = timedelta(seconds=15)

#: Twilio's bounds for ValidityPeriod, in seconds (twilio-oai, Messages.json).
VALIDITY_SECONDS = range(1, 36_001)

#: Texts to one number that are looked through for those that were lost, page by page; Twilio's
#: pages hold 1,000 at most (twilio.com/docs/usage/twilios-response).
PAGE, LISTED = 1000, 10_000
#: Twilio promises no order of its lists, so reading stops only so far behind the attempt.
OUT_OF_ORDER = timedelta(minutes=10)
#: The account's newest texts that tell whether it hides what it keeps (Message Redaction).
SAMPLE = 20


#: Nothing came back that tells anything.
_NO_ANSWER = (
    *(TwilioException, requests.RequestException),
    *(ValueError, KeyError, TypeError, AttributeError),
)


@dataclass(frozen=True)
class Account:
    """Credentials and the sender: a messaging service, or a number."""

    sid: str
    token: str
    sender: str
    api_url: str | None = None


@dataclass
class _Line:
    """A client with a connection of its own, and the wait that its last answer asked for."""

    client: Any = None
    retry_after: timedelta | None = None

    def note_retry_after(self, answer: requests.Response, **_: Any) -> None:
        """The library's errors do not carry the header."""
        seconds = answer.headers.get("Retry-After", "")
        if re.fullmatch(r"[0-9]{1,6}", seconds):
            self.retry_after = min(timedelta(seconds=int(seconds)), LONGEST_WAIT)


class TwilioTransport:
    """Sends texts over as many connections as there are texts at once, kept open.

    `callback_url` gives the address that Twilio reports a delivery's status to.
    """

    def __init__(
        self,
        account: Account,
        callback_url: Callable[[uuid.UUID], str],
        call_timeout: timedelta = CALL_TIMEOUT,
    ) -> None:
        self._account = account
        self._callback_url = callback_url
        self._call_timeout = call_timeout
        #: The last that was used is the first to be used again, so that few stay warm.
        self._idle: list[_Line] = []
        self._lines: list[_Line] = []
        self._idle.append(self._open_line())

    def send(self, message: Outgoing) -> str:
        sender = self._account.sender
        by: dict[str, Any] = {
            "messaging_service_sid" if sender.startswith("MG") else "from_": sender
        }
        if message.valid_for is not None:
            seconds = int(message.valid_for.total_seconds())
            by["validity_period"] = min(max(seconds, VALIDITY_SECONDS[0]), VALIDITY_SECONDS[-1])
        with self._line() as line:
            return self._create(line, message, by)

    def _create(self, line: _Line, message: Outgoing, by: Mapping[str, Any]) -> str:
        try:
            sent = line.client.messages.create(
                to=message.to,
                body=message.text,
                status_callback=self._callback_url(message.delivery_id),
                **by,
            )
        except (TwilioRestException, TwilioServiceException) as error:
            raise classify(error.status, error.code, line.retry_after) from None
        except requests.RequestException as error:
            raise classify_connection(error) from None
        except (TwilioException, ValueError, KeyError, TypeError, AttributeError):
            raise OutcomeUnknown("the answer of Twilio could not be read") from None
        if not sent.sid:
            raise OutcomeUnknown("the answer of Twilio has no id")
        return str(sent.sid)

    def find(self, lost: Sequence[Lost], known: Collection[str] = ()) -> Sequence[Finding]:
        """Lists what went to the number since then and compares the texts.

        There is no filter for the text or the time of creation, and `date_sent` is empty while
        queued. An account that hides texts and numbers cannot be asked: a text that it does not
        list may well have been sent.
        """
        found: dict[uuid.UUID, Report] = {}
        error = None
        try:
            with self._line() as line:
                self._look_for(line, lost, known, found)
                hides = len(found) < len(lost) and self._hides_messages(line)
            if hides:
                error = TemporaryFailure("the Twilio account hides texts; its callback can tell")
        except TemporaryFailure as failure:
            error = failure
        except _NO_ANSWER:
            error = TemporaryFailure("Twilio did not answer a listing")
        return [found.get(one.message.delivery_id, error) for one in lost]

    def _look_for(
        self,
        line: _Line,
        lost: Sequence[Lost],
        known: Collection[str],
        found: dict[uuid.UUID, Report],
    ) -> None:
        """Raises TemporaryFailure when there is more than can be looked through."""
        (to,) = {one.message.to for one in lost}
        begins_at = min(one.since for one in lost) - OUT_OF_ORDER
        missing: dict[str, list[Lost]] = {}
        for one in lost:
            missing.setdefault(_letters(one.message.text), []).append(one)
        listed = 0
        for item in line.client.messages.stream(to=to, limit=LISTED, page_size=PAGE):
            if item.date_created is not None and item.date_created < begins_at:
                return
            alike = missing.get(_letters(item.body or ""), [])
            same = next((one for one in alike if _may_be(item, one)), None)
            if same is not None and item.sid not in known:
                found[same.message.delivery_id] = _report(item)
                alike.remove(same)
                if len(found) == len(lost):
                    return
            listed += 1
        if listed == LISTED:
            raise TemporaryFailure("Twilio lists too many texts to that number to tell")

    def look_up(self, provider_id: str) -> Report | None:
        try:
            with self._line() as line:
                return _report(line.client.messages(provider_id).fetch())
        except TwilioRestException as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise TemporaryFailure("Twilio could not be asked", str(error.code)) from None
        except _NO_ANSWER:
            raise TemporaryFailure("Twilio did not answer") from None

    def delete(self, provider_id: str) -> None:
        """The whole message, because the number is as personal as the text. Twilio's own log keeps
        it for 400 days whatever anybody asks."""
        with self._line() as line:
            try:
                line.client.messages(provider_id).delete()
            except TwilioRestException as error:
                if error.status == HTTPStatus.NOT_FOUND:
                    return
                if error.code == 20009:  # twilio.com/docs/api/errors/20009
                    raise TemporaryFailure("Twilio still has it on its way", "20009") from None
                raise classify(error.status, error.code, line.retry_after) from None
            except _NO_ANSWER:
                raise TemporaryFailure("Twilio did not answer") from None

    def _hides_messages(self, line: _Line) -> bool:
        newest = line.client.messages.list(limit=SAMPLE)
        return any(
            item.direction == "outbound-api"
            and (not re.fullmatch(r"\+\d+", item.to or "") or _is_blank(item))
            for item in newest
        )

    def close(self) -> None:
        self._idle.clear()
        while self._lines:
            self._lines.pop().client.http_client.session.close()

    @contextmanager
    def _line(self) -> Iterator[_Line]:
        """One that nobody else uses meanwhile."""
        try:
            line = self._idle.pop()
        except IndexError:
            line = self._open_line()
        line.retry_after = None
        try:
            yield line
        finally:
            # The library connects anew where a connection was broken off.
            self._idle.append(line)

    def _open_line(self) -> _Line:
        line = _Line()
        http = TwilioHttpClient(
            timeout=self._call_timeout.total_seconds(),
            pool_connections=True,
            request_hooks={"response": [line.note_retry_after]},
        )
        line.client = Client(self._account.sid, self._account.token, http_client=http)
        if self._account.api_url:
            line.client.api.base_url = self._account.api_url
        _ask_environment_once(http.session, line.client.api.base_url)
        # Loads the library's modules, for which the first text should not wait.
        _ = line.client.messages
        self._lines.append(line)
        return line


def _ask_environment_once(session: requests.Session, url: str) -> None:
    """What the environment says of proxies and certificates; the library would read all of it again
    before each text, which takes a third of a text's time."""
    told = session.merge_environment_settings(url, {}, None, None, None)
    session.proxies, session.verify, session.cert = told["proxies"], told["verify"], told["cert"]
    session.trust_env = False


def _report(item: Any) -> Report:
    return read_report(str(item.sid), str(item.status), str(item.error_code or ""))


def _may_be(item: Any, lost: Lost) -> bool:
    return (
        item.direction == "outbound-api"
        and item.date_created is not None
        and item.date_created >= lost.since
    )


def _letters(text: str) -> str:
    """Smart encoding replaces punctuation and spaces (twilio.com/docs/messaging/services)."""
    return "".join(character for character in text if character.isalnum())


def _is_blank(item: Any) -> bool:
    return not item.body and str(item.num_media or "0") == "0"
