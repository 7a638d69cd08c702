"""What staff are told of the service's own trouble: a plain sentence, numbers and references."""

from typing import Any

import pytest

from followup.domain.alarm import MOST_NAMED, OVERDUE_AFTER, AlarmKind, describe
from followup.domain.cadence import Lane


@pytest.mark.parametrize(
    ("kind", "subject", "facts", "expected"),
    [
        pytest.param(
            AlarmKind.paused, "sms", {"code": "503", "misconfigured": False},
            "The provider for text messages does not answer (code 503); "
            "messages wait and are tried again.",
            id="provider down",
        ),
        pytest.param(
            AlarmKind.paused, "email", {"code": "535", "misconfigured": True},
            "The account or sender for mail is refused (code 535); nothing is sent there.",
            id="wrong account",
        ),
        pytest.param(
            AlarmKind.paused, "email", {"code": None, "misconfigured": False},
            "The provider for mail does not answer; messages wait and are tried again.",
            id="no code",
        ),
        pytest.param(
            AlarmKind.overdue, "ack", {}, "Messages of the lane ack are due and not sent.",
            id="overdue",
        ),
        pytest.param(
            AlarmKind.no_submission, "", {"hours": 48.0},
            "No form has come in for 48 business hours. "
            "Please try the forms on your website.",
            id="no form",
        ),
        pytest.param(
            AlarmKind.staff_unreached, "Front desk", {"channel": "email"},
            "A message to Front desk of the staff came back. Please check the address.",
            id="staff",
        ),
        pytest.param(
            AlarmKind.unheard, "front-office", {"count": 2},
            "The webhook front-office did not receive 2 announcements; no further attempt is made. "
            "An admin sees more at /staff/webhooks.",
            id="a webhook",
        ),
        pytest.param(
            AlarmKind.unreached, "newport-beach", {"count": 1, "references": ["K7Q4"]},
            "We could not write to 1 person. Please call K7Q4.",
            id="one person",
        ),
        pytest.param(
            AlarmKind.unreached, "newport-beach", {"count": 2, "references": ["K7Q4", "M2P9"]},
            "We could not write to 2 people. Please call K7Q4, M2P9.",
            id="two people",
        ),
        pytest.param(
            AlarmKind.unreached, "newport-beach", {"count": 23, "references": ["K7Q4", "M2P9"]},
            "We could not write to 23 people. Please call K7Q4, M2P9 and 21 more.",
            id="more than are named",
        ),
    ],
)  # fmt: skip
def test_an_alarm_says_what_is_wrong(
    kind: AlarmKind, subject: str, facts: dict[str, Any], expected: str
) -> None:
    assert describe(kind, subject, facts) == expected


@pytest.mark.parametrize("kind", AlarmKind)
def test_every_alarm_has_a_sentence_of_its_own(kind: AlarmKind) -> None:
    said = describe(kind, "sms", {"count": 1, "references": ["K7Q4"]})
    others = {describe(one, "sms", {}) for one in AlarmKind if one is not kind}

    assert said.endswith(".")
    assert said not in others


def test_what_is_more_urgent_is_missed_sooner() -> None:
    limits = [OVERDUE_AFTER[lane] for lane in (Lane.ack, Lane.staff, Lane.reminder)]

    assert set(OVERDUE_AFTER) == set(Lane)
    assert limits == sorted(limits)


def test_a_summary_that_names_the_most_fits_in_three_texts() -> None:
    facts = {"count": 2000, "references": ["K7Q4"] * MOST_NAMED}

    assert len(describe(AlarmKind.unreached, "newport-beach", facts)) <= 3 * 153
