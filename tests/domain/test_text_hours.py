"""When a number may be texted: a row for each state's law, and no text outside of any."""

import random
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from phonenumbers import timezone

from followup.domain.cadence import Audience, Channel, Lane
from followup.domain.delivery import Reason
from followup.domain.eligibility import Facts, Send, Skip, Wait, assess
from followup.domain.hours import BusinessHours, TextWindow
from followup.domain.lead import LeadStatus
from followup.domain.text_hours import FEDERAL_WINDOW, Allowance, StateRule, TextHours

LOS_ANGELES = ZoneInfo("America/Los_Angeles")
SHIPPED = TextHours()
DEFAULT = "Mon-Sat 09:00-20:00, Sun 12:00-20:00"

#: A number of each state with a row of its own, the window, and the most a day.
STATES = [
    pytest.param("+12055550123", "Mon-Sat 09:00-20:00, not on holidays of US", None, id="AL"),
    pytest.param("+19495550123", DEFAULT, None, id="CA"),
    pytest.param("+12035550123", DEFAULT, None, id="CT"),
    pytest.param("+13055550123", DEFAULT, 3, id="FL"),
    pytest.param("+15025550123", "Mon-Sat 10:00-20:00, Sun 12:00-20:00", None, id="KY"),
    pytest.param("+15045550123", "Mon-Sat 09:00-20:00", None, id="LA"),
    pytest.param("+16175550123", DEFAULT, None, id="MA"),
    pytest.param("+14105550123", DEFAULT, None, id="MD"),
    pytest.param("+12075550123", "Mon-Fri 09:00-17:00", None, id="ME"),
    pytest.param("+13135550123", DEFAULT, None, id="MI"),
    pytest.param("+16125550123", DEFAULT, None, id="MN"),
    pytest.param("+16015550123", "Mon-Sat 09:00-20:00", None, id="MS"),
    pytest.param("+15055550123", DEFAULT, None, id="NM"),
    pytest.param("+17025550123", DEFAULT, None, id="NV"),
    pytest.param("+12125550123", DEFAULT, None, id="NY"),
    pytest.param("+14055550123", DEFAULT, 3, id="OK"),
    pytest.param("+15035550123", DEFAULT, 3, id="OR"),
    pytest.param("+12155550123", "Mon-Sat 09:00-20:00", None, id="PA"),
    pytest.param("+14015550123", "Mon-Fri 09:00-18:00, Sat 10:00-17:00", None, id="RI"),
    pytest.param("+15125550123", DEFAULT, None, id="TX"),
    pytest.param("+12065550123", DEFAULT, None, id="WA"),
    pytest.param("+12015550123", DEFAULT, None, id="NJ or NY"),
    pytest.param("+14165550123", DEFAULT, None, id="no state of ours"),
]


def allowance(phone: str, hours: TextHours = SHIPPED) -> Allowance:
    return hours.allowance(phone, LOS_ANGELES)


@pytest.mark.parametrize(("phone", "window", "most"), STATES)
def test_each_state_has_its_window_and_its_most(phone: str, window: str, most: int | None) -> None:
    found = allowance(phone)

    assert str(found.window) == window
    assert found.most_per_day == most


def all_week(start: int, end: int) -> TextWindow:
    return TextWindow(((time(start), time(end)),) * 7)


@pytest.mark.parametrize(
    ("hours", "phone", "window"),
    [
        pytest.param(TextHours(FEDERAL_WINDOW), "+19495550123", "Mon-Sun 08:00-21:00",
                     id="a wide default where no state is stricter"),
        pytest.param(TextHours(FEDERAL_WINDOW), "+13055550123", "Mon-Sun 08:00-20:00",
                     id="a wide default keeps the hours of a state"),
        pytest.param(TextHours(all_week(10, 12)), "+13055550123", "Mon-Sun 10:00-12:00",
                     id="a narrow default narrows all"),
        pytest.param(TextHours(states={"FL": StateRule(all_week(8, 10))}), "+13055550123",
                     "Mon-Sun 08:00-10:00", id="a state's window of the clinic's own"),
        pytest.param(TextHours(states={"NY": StateRule(all_week(10, 12))}), "+12015550123",
                     "Mon-Sat 10:00-12:00", id="of two states both must allow"),
        pytest.param(TextHours(states={"NY": StateRule(all_week(8, 9))}), "+12015550123",
                     "None", id="two states that never both allow"),
    ],
)  # fmt: skip
def test_a_clinic_may_have_windows_of_its_own(hours: TextHours, phone: str, window: str) -> None:
    narrowed = str(allowance(phone, hours).window).removesuffix(", Sun 12:00-12:00")

    assert narrowed == window


def test_of_two_states_the_smaller_cap_holds() -> None:
    strict = TextHours(states={"NY": StateRule(most_per_day=2), "NJ": StateRule(most_per_day=3)})

    assert allowance("+12015550123", strict).most_per_day == 2


def test_a_number_may_be_in_every_zone_of_its_prefix_and_in_the_sites() -> None:
    zones = {zone.key for zone in allowance("+16055550123").zones}

    assert zones == {"America/Denver", "America/North_Dakota/Center", "America/Los_Angeles"}


def judged(phone: str, now: datetime, hours: TextHours = SHIPPED) -> Send | Wait | Skip:
    """What becomes of a later text to the number of somebody who agreed."""
    found = allowance(phone, hours)
    office = BusinessHours(LOS_ANGELES, (((time(9), time(17)),),) * 7)
    facts = Facts(
        audience=Audience.patient,
        channel=Channel.sms,
        lane=Lane.reminder,
        acknowledges=False,
        expires_at=None,
        lead_status=LeadStatus.open,
        snoozed_until=None,
        arrived_at=now,
        hours=office,
        has_consent=True,
        zones=found.zones,
        states=found.states,
        window=found.window,
    )
    return assess(facts, now)


def instant(local: str, zone: str) -> datetime:
    return datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


@pytest.mark.parametrize(
    ("phone", "now", "zone", "allowed"),
    [
        pytest.param("+12055550123", "2026-11-25 21:00", "America/Chicago", "2026-11-27 11:00",
                     id="Alabama over Thanksgiving"),
        pytest.param("+12055550123", "2026-07-02 20:00", "America/Chicago", "2026-07-06 11:00",
                     id="Alabama over the Fourth and a Sunday"),
        pytest.param("+12075550123", "2026-12-04 17:00", "America/New_York", "2026-12-07 12:00",
                     id="Maine over a weekend"),
        pytest.param("+14015550123", "2026-12-05 17:00", "America/New_York", "2026-12-07 12:00",
                     id="Rhode Island from Saturday on"),
        pytest.param("+12155550123", "2027-03-13 20:00", "America/New_York", "2027-03-15 12:00",
                     id="Pennsylvania, and clocks go forward"),
        pytest.param("+15025550123", "2026-12-01 09:30", "America/New_York", "2026-12-01 13:00",
                     id="Kentucky waits for the site"),
        pytest.param("+13055550123", "2026-12-01 12:00", "America/New_York", None,
                     id="Florida at the site's nine"),
        pytest.param("+13055550123", "2026-12-01 19:59:59", "America/New_York", None,
                     id="Florida just before eight"),
        pytest.param("+13055550123", "2026-12-01 20:00", "America/New_York", "2026-12-02 12:00",
                     id="Florida at eight"),
        pytest.param("+16055550123", "2026-12-01 19:30", "America/Chicago", None,
                     id="two zones, both awake"),
        pytest.param("+16055550123", "2026-12-01 20:00", "America/Chicago", "2026-12-02 11:00",
                     id="two zones, the eastern one asleep"),
        pytest.param("+18085550123", "2026-12-01 08:59:59", "Pacific/Honolulu", "2026-12-01 09:00",
                     id="Hawaii before nine"),
    ],
)  # fmt: skip
def test_a_text_waits_for_the_hours_of_its_state(
    phone: str, now: str, zone: str, allowed: str | None
) -> None:
    verdict = judged(phone, instant(now, zone))

    expected = (
        Wait(instant(allowed, zone), Reason.quiet_hours, extends_expiry=True) if allowed else Send()
    )
    assert verdict == expected


@pytest.mark.parametrize(
    ("phone", "hours"),
    [
        pytest.param("+80012345678", SHIPPED, id="a number of no place"),
        pytest.param("+12015550123", TextHours(states={"NY": StateRule(all_week(8, 9))}),
                     id="two states that never both allow"),
    ],
)  # fmt: skip
def test_where_nothing_is_known_to_be_allowed_nothing_is_sent(phone: str, hours: TextHours) -> None:
    noon = instant("2026-12-01 12:00", "America/Los_Angeles")

    assert judged(phone, noon, hours) == Skip(Reason.quiet_hours)


#: The laws once more, as (earliest, latest) hours from Monday to Sunday; None: no text that day.
Law = tuple[tuple[int, int] | None, ...]
OURS: Law = ((9, 20),) * 6 + ((12, 20),)
NO_SUNDAY: Law = ((9, 20),) * 6 + (None,)
LAWS: dict[str, Law] = {
    **dict.fromkeys(("334", "504", "601", "215"), NO_SUNDAY),
    "207": ((9, 17),) * 5 + (None, None),
    "401": ((9, 18),) * 5 + ((10, 17), None),
    "502": ((10, 20),) * 6 + ((12, 20),),
}
#: Codes of one zone and of several, of every zone of the country, and the strict states.
CODES = [
    *(*LAWS, "949", "212", "305", "405", "503", "312", "303", "602", "808", "907", "201"),
    *("208", "605", "701", "775", "986"),
]
NUMBERS = [f"+1{code}5550{line}" for code in CODES for line in (101, 142, 199)]
ZONES_OF = {
    number: [
        *map(ZoneInfo, timezone.time_zones_for_number(phonenumbers.parse(number))),
        LOS_ANGELES,
    ]
    for number in NUMBERS
}
YEARS = range(2020, 2045)
SECONDS = int(timedelta(days=366).total_seconds())


def is_outside(at: datetime, number: str) -> bool:
    for zone in ZONES_OF[number]:
        local = at.astimezone(zone)
        span = LAWS.get(number[2:5], OURS)[local.weekday()]
        if span is None or not time(span[0]) <= local.time() < time(span[1]):
            return True
    return False


def sent_at(number: str, at: datetime) -> datetime | None:
    verdict = judged(number, at)
    if isinstance(verdict, Wait):
        at = verdict.until
        verdict = judged(number, at)
    return at if verdict == Send() else None


@given(seed=st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_no_text_arrives_outside_the_hours_of_any_zone_that_its_number_may_be_in(seed: int) -> None:
    """Two hundred instants and numbers each time, a third of them near a change of clocks."""
    chance = random.Random(seed)
    for _ in range(200):
        number, year = chance.choice(NUMBERS), chance.choice(YEARS)
        start = datetime(year, chance.choice((1, 3, 11)), 1, tzinfo=UTC)
        span = SECONDS if start.month == 1 else 15 * 24 * 3600
        at = start + timedelta(seconds=chance.randrange(span))

        arrival = sent_at(number, at)

        assert arrival is not None, (number, at)
        assert not is_outside(arrival, number), (number, at, arrival)
        assert arrival == at or is_outside(at, number) or number.startswith("+1334"), (number, at)
