"""Systems of the clinic's that are told what happens, answer as they are told to, and say what they
should not have heard so."""

import json
import uuid
from collections import Counter
from contextlib import suppress
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Engine, select, update

from followup.clinic_webhooks import Webhook
from followup.domain.announcement import MOST_ATTEMPTS, Event
from followup.services import announcing
from followup.services.announcing import Announcer, Receiver
from followup.store import announcements
from followup.store.db import reading, real_now, transaction
from followup.store.models import Announcement
from followup.transports.webhook import Answer, Answered, Unanswered
from tests.chaos import oracle
from tests.chaos.provider import WorkerLost


class Hearing(StrEnum):
    """How the posts of one run end."""

    heard = "heard"
    busy = "busy"
    lost = "it was heard, and the answer is lost"
    dies_and_heard = "the worker dies after it was heard"
    dies_and_unheard = "the worker dies before it was heard"


_HEARD = frozenset({Hearing.heard, Hearing.lost, Hearing.dies_and_heard})
_ANSWERS: dict[Hearing, Answer] = {
    Hearing.heard: Answered(204),
    Hearing.busy: Answered(503),
    Hearing.lost: Unanswered("no answer in time"),
}

WEBHOOKS = (
    Webhook(name="office", url="http://127.0.0.1:9/office"),
    Webhook(
        name="board",
        url="http://127.0.0.1:9/board",
        events=frozenset({Event.lead_contacted, Event.lead_closed}),
    ),
)


class Hearers:
    """What is wrong is added to `broken`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.broken: list[str] = []
        self._ending = Hearing.heard
        self._posts: list[tuple[str, bytes]] = []
        self._attempts: Counter[str] = Counter()
        self._bodies: dict[str, bytes] = {}
        self._heard: dict[str, tuple[str, Event, uuid.UUID]] = {}
        #: Whose hearing was recorded, so that they are never told again.
        self._done: set[str] = set()
        receivers = {one.name: Receiver(one, (b"k" * 32,)) for one in WEBHOOKS}
        self.announcer = Announcer(
            engine=engine, receivers=receivers, post=self._post, chance=lambda: 0.0
        )
        announcements.subscribe(engine, {one.name: one.events for one in WEBHOOKS})

    def announce(self, ending: Hearing = Hearing.heard) -> None:
        """Time has passed for whatever is owed, and a worker posts it."""
        with transaction(self._engine) as session:
            over = real_now(session) - timedelta(seconds=1)
            session.execute(update(Announcement).values(due_at=over))
        self._ending = ending
        self._posts.clear()
        died = True
        with suppress(WorkerLost):
            announcing.announce_due(self.announcer)
            died = False
        self._judge(died=died)

    def _post(self, url: str, _: object, message_id: str, body: bytes, __: datetime) -> Answer:
        # Of several threads, in any order.
        self._posts.append((message_id, body))
        if self._ending in _HEARD:
            told = json.loads(body)
            about = told["data"].get("delivery_id") or told["data"]["lead_id"]
            webhook = url.rpartition("/")[2]
            self._heard[message_id] = (webhook, Event(told["type"]), uuid.UUID(about))
        if self._ending not in _ANSWERS:
            raise WorkerLost
        return _ANSWERS[self._ending]

    def _judge(self, *, died: bool) -> None:
        ids = Counter(message_id for message_id, _ in self._posts)
        self._attempts += ids
        self.broken += [f"{one} was posted twice in a run" for one in ids if ids[one] > 1]
        self.broken += [f"{one} was heard, and posted again" for one in ids if one in self._done]
        self.broken += [
            f"{one} was posted too often" for one in ids if self._attempts[one] > MOST_ATTEMPTS
        ]
        self.broken += [
            f"{one} says something else"
            for one, body in self._posts
            if self._bodies.setdefault(one, body) != body
        ]
        if self._ending is Hearing.heard and not died:
            self._done |= ids.keys()

    def wrongly_told(self) -> list[str]:
        """Of what happened each thing is one announcement to each webhook that wants to know,
        heard or owed."""
        told = dict(self._heard)
        with reading(self._engine) as session:
            for row in session.scalars(select(Announcement)):
                about = row.delivery_id or row.lead_id
                assert about is not None
                told[f"msg_{row.id.hex}"] = (row.webhook, row.event, about)
        webhooks = {one.name: one.events for one in WEBHOOKS}
        return oracle.wrongly_told(self._engine, webhooks, told.values())

    def still_owed(self) -> list[str]:
        """Of those that are alive."""
        with reading(self._engine) as session:
            owed = announcements.count_owed(session)
        return [f"{count} announcements to {webhook}" for webhook, count in owed.items()]
