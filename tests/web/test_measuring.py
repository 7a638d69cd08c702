"""What Prometheus is told: how long things wait, what is paused, what is wrong; nobody's name."""

from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from followup.domain.alarm import AlarmKind
from followup.domain.cadence import Channel, Lane
from followup.services import watching
from followup.store import alarms, breakers, counts
from followup.store.db import real_now, transaction
from tests.web.caller import ALICE, NOW, Caller

MINUTE = timedelta(minutes=1)

Numbers = dict[tuple[str, str], float]


def measure(api: Caller) -> Numbers:
    """Each number by its name and its label."""
    answer = api.http.get("/metrics")
    assert answer.status_code == 200
    return {
        (
            sample.name.removeprefix("followup_"),
            next(iter(sample.labels.values()), ""),
        ): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_a_service_with_nothing_to_do_measures_nothing(api_everywhere: Caller) -> None:
    numbers = measure(api_everywhere)

    silence = numbers.pop(("silence_seconds", ""))
    assert silence == float("inf")
    assert set(numbers.values()) == {0}
    lanes = {label for name, label in numbers if name == "oldest_due_seconds"}
    assert lanes == {lane.value for lane in Lane}


def test_what_waits_is_measured(api_everywhere: Caller) -> None:
    api = api_everywhere
    api.submit()
    api.clock.pass_by(MINUTE)
    assert measure(api)["oldest_unconsumed_seconds", ""] == 60
    assert measure(api)["submissions", "accepted"] == 1

    api.consume()
    api.clock.pass_by(MINUTE)

    numbers = measure(api)
    assert numbers["oldest_unconsumed_seconds", ""] == 0
    assert numbers["oldest_due_seconds", "ack"] == 120
    assert numbers["due", "ack"] == 2
    assert numbers["leads_waiting", ""] == 1


def test_what_was_sent_in_this_hour_is_measured(api: Caller) -> None:
    api.submit()
    api.consume()
    sent = api.send_due(Lane.ack)

    assert measure(api)["sends_this_hour", ""] == len(sent) == 2
    api.clock.pass_by(60 * MINUTE)
    assert measure(api)["sends_this_hour", ""] == 0


@pytest.mark.parametrize("channel", Channel)
def test_a_paused_channel_is_measured(api_everywhere: Caller, channel: Channel) -> None:
    with transaction(api_everywhere.service.engine) as session:
        row = breakers.lock_breaker(session, channel)
        row.paused_at = row.probe_at = real_now(session)

    numbers = measure(api_everywhere)

    assert {one: numbers["paused", one.value] for one in Channel} == {
        one: float(one is channel) for one in Channel
    }


def test_a_channel_that_has_failed_but_not_paused_is_not_measured(api: Caller) -> None:
    with transaction(api.service.engine) as session:
        breakers.lock_breaker(session, Channel.sms).failures = 4

    assert measure(api)["paused", "sms"] == 0


def test_alarms_that_are_open_are_counted_by_kind(api_everywhere: Caller) -> None:
    with transaction(api_everywhere.service.engine) as session:
        for lane in ("ack", "staff"):
            alarms.open_alarm(session, AlarmKind.overdue, lane, NOW, {})
        alarms.add_past_alarm(session, AlarmKind.unreached, "", NOW, {})

    numbers = measure(api_everywhere)

    counted = {kind: numbers["alarms", kind.value] for kind in AlarmKind}
    assert counted == {kind: 2 * float(kind is AlarmKind.overdue) for kind in AlarmKind}


def test_silence_is_measured_in_real_time(api_everywhere: Caller) -> None:
    with transaction(api_everywhere.service.engine) as session:
        counts.beat(session, watching.UPKEEP, real_now(session) - 5 * MINUTE)
    api_everywhere.clock.pass_by(600 * MINUTE)

    silence = measure(api_everywhere)["silence_seconds", ""]

    assert 300 <= silence < 3600


def test_nothing_that_is_measured_is_about_a_person(api: Caller) -> None:
    api.submit()
    api.consume()
    api.send_due()

    said = api.http.get("/metrics").text

    for personal in (ALICE["email"], "Alice", "4155550101"):
        assert personal not in said
