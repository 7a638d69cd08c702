"""A process dies at each point at which it can; the next one finishes the work, and nobody is
forgotten, written to twice, or written to after a person has called."""

from collections.abc import Sequence

import pytest

from tests.chaos.mortal import open_service
from tests.chaos.points import acts, sites

#: Every transaction of the services, and every act of the staff. The first text that is heeded in a
#: day is a colleague's.
TRANSACTIONS = (
    "announcing._claim",
    "announcing._record",
    "bouncing.record_mail_event",
    "heeding.heed_reply",
    "intake.receive",
    "intake.consume",
    "intake.consume 2",
    "intake.replay",
    "receiving.record_receipt",
    "receiving.receive_reply",
    "receiving.unsubscribe",
    "sending._claim",
    "sending._record",
    "settling.rescue",
    "settling._claim_questions",
    "settling._settle_alike",
    "settling._claim_unreceipted",
    "settling._reconcile_one",
    "auditing._seal_batch",
    "reviewing._each_held",
    "uniting.merge_duplicate",
    "watching.watch",
    "working.mark_contacted",
    "working.record_attempt",
    "working.snooze",
    "working.close",
    "working.reopen",
    "working.record_opt_in",
    "working.record_opt_out",
)
#: Operators' work, which is done again until it is whole: the tests beside each kill it in the
#: middle. A note of what was seen is one row, and nothing follows from it.
ELSEWHERE = (
    *("erasing.erase", "erasing._remove_person", "erasing._finish", "erasing.finish_erasures"),
    *("erasing._delete_copies", "erasing._delete_copy", "erasing._delete_copy 2"),
    *("pruning.prune", "pruning.move_to_history", "rotating._rotate_table", "auditing.note"),
    # Who is signed in, or says "mine" of a lead, decides nothing about messages.
    *("signing_in.sign_in", "signing_in.sign_in 2", "signing_in.find_signed_in"),
    *("signing_in.welcome", "signing_in.welcome 2", "signing_in.welcome 3", "signing_in.sign_out"),
    *("signing_in.change_password", "signing_in._confirm", "signing_in._confirm 2"),
    *("signing_in.end_others", "signing_in.begin_codes", "signing_in.end_codes", "working.assign"),
    # One row, and nothing follows from it; a summary is made once a day by its unique key.
    *("working.add_note", "summarising._make"),
    # A word of the operators', in one row of each; and a part of `working.reopen`.
    *("announcing.start", "announcing.resend", "uniting.part_again"),
)
CALLS = ("call", "question", "post")
PLACES = [f"{name} {{}} commit" for name in TRANSACTIONS] + [f"{name} {{}}" for name in CALLS]
#: A process dies just before it, and the next one, which takes up the work, just after it.
PAIRS = [[place.format(when) for when in ("before", "after")] for place in PLACES]

#: Where a message is taken on, goes out or is settled: those in every run, the others with --long.
HEART = (
    *("intake", "sending", "settling", "receiving.receive", "working.mark", "call", "question"),
    # What staff text, and what other systems are told.
    *("heeding", "announcing._record"),
)
#: By turns on one database and the other; with --long each on both, and each point alone, too.
BRIEFLY = [
    pytest.param(pair, id=pair[0], marks=pytest.mark.briefly_on(("sqlite", "postgresql")[turn % 2]))
    if pair[0].startswith(HEART)
    else pytest.param(pair, id=pair[0], marks=pytest.mark.long)
    for turn, pair in enumerate(PAIRS)
]

#: As often a process dies at each point, at the first, second, third … time that it is reached.
DEATHS_LONG = 20


def test_every_transaction_of_the_services_has_its_crash_points() -> None:
    named = sorted([*TRANSACTIONS, *ELSEWHERE])
    assert named == sorted([*(site.name for site in sites()), *acts()])


@pytest.mark.timeout(900)
@pytest.mark.parametrize("points", BRIEFLY)
def test_a_death_and_the_next_lose_nothing_and_send_nothing_twice(
    database_url: str, points: Sequence[str]
) -> None:
    with open_service(database_url) as service:
        service.prepare()
        for point in points:
            assert service.live(point, 1), f"{point} was not reached"
        service.finish()
        service.check()


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("point", [point for pair in PAIRS for point in pair])
def test_a_death_loses_nothing_and_sends_nothing_twice(database_url: str, point: str) -> None:
    with open_service(database_url) as service:
        deaths, time = 0, 1
        while deaths < DEATHS_LONG:
            service.prepare()
            died = service.live(point, time)
            assert died or time > 1, f"{point} was not reached"
            deaths += died
            time = time + 1 if died else 1
            service.finish()
        service.check()
