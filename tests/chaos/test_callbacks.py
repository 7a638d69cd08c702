"""Reports of texts come in any order, more than once, and while their rows are in any state."""

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle

import pytest
from sqlalchemy import func, select

from followup.domain.cadence import Channel, Lane
from followup.domain.delivery import Reason, Status
from followup.store.db import make_engine, new_id, reading
from followup.store.models import Delivery, Receipt
from followup.transports.base import Report
from followup.transports.twilio_words import STATUSES
from tests.chaos.day import ROLES, person
from tests.chaos.oracle import note_changes, steps_back
from tests.schema import KEYRING
from tests.services.cast import Desk
from tests.services.recording import Recording

#: What Twilio says of a text, in the order in which it happens; the last word is the final state.
LIVES: Sequence[Sequence[tuple[str, str]]] = (
    (("queued", ""), ("sending", ""), ("sent", ""), ("delivered", "")),
    (("queued", ""), ("sending", ""), ("sent", ""), ("undelivered", "30003")),
    (("queued", ""), ("sending", ""), ("failed", "30001")),
    (("queued", ""), ("sending", ""), ("sent", ""), ("delivered", ""), ("read", "")),
    (("queued", ""), ("sending", ""), ("sent", ""), ("partially_delivered", "")),
    (("accepted", ""), ("queued", ""), ("sending", ""), ("sent", "")),
    (("scheduled", ""), ("canceled", "")),
)
TRIPLED = 3
#: Several processes take reports at the same time.
TAKERS = 4


@dataclass(frozen=True)
class Text:
    """One text, what becomes of it, and the provider's id for it."""

    row: Delivery
    life: Sequence[tuple[str, str]]
    provider_id: str

    def reports(self) -> list[tuple["Text", Report]]:
        return [
            (self, Report(self.provider_id, word, STATUSES.get(word), code))
            for word, code in [*self.life, ("a word of next year", "")]
        ]


def send_texts(desk: Desk, count: int) -> list[Text]:
    """Texts of which a third was accepted; of the others we do not know that yet."""
    number = 0
    while len(rows := desk.rows(channel=Channel.sms, status=Status.accepted)) < count:
        for _ in range(20):
            day, role = divmod(number, len(ROLES))
            desk.receive(person(day, ROLES[role]))
            number += 1
        desk.consume()
        desk.consume()
        desk.send(Lane.ack, Lane.staff)
    lives = cycle(LIVES)
    texts = [Text(row, next(lives), row.provider_id or "") for row in rows[:count]]
    for place, text in enumerate(texts):
        if place % 3 == 1:
            desk.change(text.row, status=Status.sending, provider_id=None, claim=new_id())
        elif place % 3 == 2:
            desk.change(
                text.row, status=Status.unknown, reason=Reason.answer_lost, provider_id=None
            )
    return texts


@pytest.mark.timeout(900)
def test_shuffled_and_tripled_reports_never_take_a_step_back(
    database_url: str, is_long: bool
) -> None:
    chance = random.Random(20261124)
    engine = make_engine(database_url, KEYRING, pool_size=10)
    with ThreadPoolExecutor(16) as pool:
        desk = Desk(engine, Recording(), dict.fromkeys(Lane, pool))
        texts = send_texts(desk, 714 if is_long else 49)
        note_changes(engine)
        posts = [post for text in texts for post in text.reports()] * TRIPLED
        chance.shuffle(posts)

        def take(post: tuple[Text, Report]) -> bool:
            text, report = post
            return desk.take_report(text.row.id, report)

        with ThreadPoolExecutor(TAKERS) as takers:
            list(takers.map(take, posts))

        assert len(posts) >= (10_000 if is_long else 600)
        assert steps_back(engine) == []
        rows = {row.id: row for row in desk.rows()}
        ends = {text.row.id: STATUSES[text.life[-1][0]] for text in texts}
        assert {one: rows[one].status for one in ends} == ends
        with reading(engine) as session:
            kept = session.scalar(select(func.count()).select_from(Receipt))
        assert kept == len(posts) / TRIPLED
        assert all(rows[text.row.id].provider_id == text.provider_id for text in texts)
    engine.dispose()
