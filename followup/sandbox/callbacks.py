"""Lives messages out in the background: status after status, each told by a signed callback."""

import heapq
import itertools
import secrets
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from threading import Condition, Thread

from followup.sandbox.lives import RANKS, SENT, Event, Life
from followup.sandbox.outbox import Message, Outbox, OutboxClosed
from followup.sandbox.signed_posts import Webhooks

#: So many targets may hang at the same time before others have to wait.
THREADS = 4


class Callbacks:
    """Runs each message's life. `pace` is the real time in seconds before each status."""

    def __init__(
        self,
        outbox: Outbox,
        webhooks: Webhooks,
        account_sid: str,
        number: str,
        now: Callable[[], datetime],
        pace: float,
    ) -> None:
        self._outbox = outbox
        self._webhooks = webhooks
        self._account_sid = account_sid
        self._number = number
        self._now = now
        self._pace = pace
        self._due: list[tuple[float, int, str, Life, Sequence[Event]]] = []
        self._order = itertools.count()
        self._changed = Condition()
        self._busy = 0
        self._is_stopping = False

    def start(self) -> None:
        """Also takes up every life that the previous process left unfinished."""
        for _ in range(THREADS):
            Thread(target=self._run, daemon=True).start()
        for message in self._outbox.list_messages(channel="sms"):
            is_ours = message.direction == "outbound-api" and message.status != "scheduled"
            if is_ours and RANKS.get(message.status, 0) <= SENT:
                self.begin(message, Life(life=message.life))

    def forget(self, message_id: str) -> None:
        """Keep nothing of what was told about that message."""
        self._webhooks.forget(message_id)

    def stop(self) -> None:
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()

    def clear(self) -> None:
        """Forgets what lies ahead of every message."""
        with self._changed:
            self._due.clear()
            self._changed.notify_all()

    def begin(self, message: Message, life: Life) -> None:
        self._plan(message.id, life, life.events(message.status))

    def live_through(self, message: Message, life: Life) -> None:
        """The whole life at once, in the caller's thread."""
        for event in life.events(message.status):
            self._happen(message.id, life, event)

    def settle(self, timeout: float) -> bool:
        """Waits until nothing lies ahead of any message; False when the time ran out."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._due and not self._busy, timeout)

    def _plan(self, message_id: str, life: Life, events: Sequence[Event]) -> None:
        if not events:
            return
        pause = self._pace if life.delay is None else life.delay
        with self._changed:
            entry = (time.monotonic() + pause, next(self._order), message_id, life, events)
            heapq.heappush(self._due, entry)
            self._changed.notify()

    def _run(self) -> None:
        while (due := self._next()) is not None:
            _, _, message_id, life, events = due
            try:
                if self._happen(message_id, life, events[0]):
                    self._plan(message_id, life, events[1:])
            except OutboxClosed:
                return
            finally:
                with self._changed:
                    self._busy -= 1
                    self._changed.notify_all()

    def _next(self) -> tuple[float, int, str, Life, Sequence[Event]] | None:
        """The next entry when it is due; None when the sandbox stops."""
        with self._changed:
            while not self._is_stopping:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    self._busy += 1
                    return heapq.heappop(self._due)
                self._changed.wait(wait)
        return None

    def _happen(self, message_id: str, life: Life, event: Event) -> bool:
        """Whether the message is still there to live on."""
        message = self._advance(message_id, event) if event.changes else None
        message = message or self._outbox.find(message_id)
        if message is None or message.status == "canceled" or self._is_stopping:
            return False
        if message.status_callback:
            fields = self._fields(message, event, life)
            for _ in range(event.callbacks):
                self._webhooks.post(
                    message.status_callback,
                    fields,
                    signature=life.signature,
                    tries_lost=life.target_down,
                )
        return True

    def _advance(self, message_id: str, event: Event) -> Message | None:
        message = self._outbox.find(message_id)
        if message is None or message.status == "canceled" or self._is_stopping:
            return None
        now = self._now()
        is_out = event.status in ("sent", "delivered")
        return self._outbox.change(
            message_id,
            status=event.status,
            error_code=event.error_code,
            updated_at=now,
            sent_at=message.sent_at or (now if is_out else None),
            sender=message.sender or self._number,
        )

    def _fields(self, message: Message, event: Event, life: Life) -> dict[str, str]:
        sid = f"SM{secrets.token_hex(16)}" if life.unknown_sid else message.id
        fields = {
            "AccountSid": self._account_sid,
            "From": message.sender or self._number,
            "To": message.to,
            "MessageSid": sid,
            "SmsSid": sid,
            "MessageStatus": event.status,
            "SmsStatus": event.status,
            "ApiVersion": "2010-04-01",
            # Blank on purpose: blank fields are part of what is signed.
            "ErrorMessage": "",
        }
        if message.service_sid is not None:
            fields["MessagingServiceSid"] = message.service_sid
        if event.error_code is not None:
            fields["ErrorCode"] = str(event.error_code)
        if RANKS.get(event.status, 0) > SENT:
            fields["RawDlrDoneDate"] = self._now().strftime("%y%m%d%H%M")
        if life.extra_fields:
            fields["ChannelNews"] = "a property of next year"
        return fields
