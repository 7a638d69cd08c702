"""Processes, brokers and databases die and freeze while people write, staff mark leads and answers
of providers are lost: nobody is forgotten, and nobody is written to twice or after a mark."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos.soak import AMBUSHED, Plan, Tally, crewed

SHORT = Plan(leads=45, seconds=16, rate=40)
LONG = Plan(leads=2000, seconds=150, rate=4, calm_seconds=120)

#: Starts of whole programs, on a machine that runs other tests as well.
pytestmark = pytest.mark.timeout(900)

Run = Callable[[str, str, Plan], Tally]


@pytest.fixture
def run(short_directory: Path) -> Run:
    def run(database: str, broker: str, plan: Plan) -> Tally:
        with crewed(short_directory, database, broker, plan) as soak:
            tally = soak.run()
        print(f"{database} and {broker}: {tally}")
        return tally

    return run


@pytest.mark.parametrize(
    ("database", "broker"),
    [pytest.param("sqlite", "valkey", marks=pytest.mark.long), ("postgresql", "redis")],
)
def test_whatever_dies_nothing_is_lost_sent_twice_or_sent_after_a_mark(
    run: Run, database: str, broker: str
) -> None:
    keeps_its_promises(run(database, broker, SHORT), SHORT)


@pytest.mark.long
@pytest.mark.parametrize(
    ("database", "broker"),
    [("sqlite", "valkey"), ("postgresql", "redis"), ("postgresql", "rabbitmq")],
)
def test_two_thousand_people_and_nothing_is_lost_sent_twice_or_sent_after_a_mark(
    run: Run, database: str, broker: str
) -> None:
    keeps_its_promises(run(database, broker, LONG), LONG)


@pytest.mark.long
def test_a_rescue_that_sends_again_and_a_mark_that_nobody_looks_at_are_found_out(run: Run) -> None:
    """Negative control: without it nobody knew whether the soak can see what it must not find."""
    controls = ("expired_lease_means_send_again", "contacted_is_not_checked")

    tally = run("sqlite", "valkey", replace(SHORT, leads=12, seconds=12, controls=controls))

    assert len(tally.twice) > 0
    assert len(tally.late) > 0


def keeps_its_promises(tally: Tally, plan: Plan) -> None:
    assert tally.leads == tally.accepted >= plan.leads + AMBUSHED
    assert tally.lost == []
    assert tally.twice == []
    assert tally.late == []
    assert tally.unsettled == 0
    assert tally.untrue == []
    assert tally.ended_alone == []
    # Or it has shown nothing.
    assert tally.asked > 0
    assert tally.marked > 0
    assert tally.faults["worker killed"] > AMBUSHED
