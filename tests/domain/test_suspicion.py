"""What is suspicious: by its words, by what it is like, and by how it came."""

import ipaddress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from followup.domain.submission import Kind, read_submission
from followup.domain.suspicion import (
    SENTENCES,
    Bounds,
    Likeness,
    Manner,
    Suspicion,
    flood,
    judge,
    likenesses,
    network_of,
    window_of,
)

BOUNDS = Bounds(
    links=2,
    per_number=5,
    per_prefix=6,
    per_email=4,
    per_domain=10,
    per_message=3,
    per_opening=2,
    per_manner=8,
    per_service=15,
    window=timedelta(minutes=10),
)
ALICE = {"name": "Alice Ames", "email": "Alice@clinic.example.com", "phone": "+1 949 253 0101"}
LONG = "I have tried three medications and would like to talk."


def judged(**fields: Any) -> Suspicion | None:
    return judge(read_submission(Kind.contact, {**ALICE, **fields}), BOUNDS)


def counted(opening: str | None = None, **fields: Any) -> dict[Suspicion, Likeness]:
    form = read_submission(Kind.contact, {**ALICE, **fields})
    found = likenesses(form, BOUNDS, countries={"US"}, opening=opening)
    return {one.suspicion: one for one in found}


@pytest.mark.parametrize(
    ("name", "suspicion"),
    [
        pytest.param("Alice Ames", None, id="a name"),
        pytest.param("Dr. J. P. O'Neil-St.John, Ph.D.", None, id="dots in a name"),
        pytest.param("J.Co Smith", None, id="an initial without space"),
        pytest.param("Zoë Ñandú", None, id="accents"),
        pytest.param("http://win.example", Suspicion.link_in_name, id="a link"),
        pytest.param("Alice https:x", Suspicion.link_in_name, id="half a link"),
        pytest.param("WWW.win.example", Suspicion.link_in_name, id="www"),
        pytest.param("You won at free-prize.xyz", Suspicion.link_in_name, id="a domain"),
        pytest.param("prize.COM", Suspicion.link_in_name, id="a domain in capitals"),
    ],
)
def test_a_web_address_is_no_name(name: str, suspicion: Suspicion | None) -> None:
    assert judged(name=name) is suspicion


@pytest.mark.parametrize(
    ("message", "suspicion"),
    [
        pytest.param(None, None, id="nothing"),
        pytest.param("See http://a.example and www.b.example", None, id="two links"),
        pytest.param("http://a http://b https://c", Suspicion.links, id="three links"),
        pytest.param('<a href="http://a">x</a> [url=b]', Suspicion.links, id="in markup"),
        pytest.param("My score was 3.5, a.com and so on", None, id="what is no link"),
    ],
)
def test_many_links_are_suspicious(message: str | None, suspicion: Suspicion | None) -> None:
    assert judged(message=message) is suspicion


def test_a_submission_is_counted_by_all_that_it_shares_with_others() -> None:
    alike = counted("mark", message=f"  {LONG.upper()}")

    assert {one: (alike[one].value, alike[one].limit) for one in alike} == {
        Suspicion.same_number: ("+19492530101", 5),
        Suspicion.same_prefix: ("+1949253", 6),
        Suspicion.same_email: ("alice@clinic.example.com", 4),
        Suspicion.same_domain: ("clinic.example.com", 10),
        Suspicion.same_message: (
            "i have tried three medications and would like to talk",
            3,
        ),
        Suspicion.same_opening: ("mark", 2),
    }


@pytest.mark.parametrize(
    ("fields", "not_counted"),
    [
        pytest.param({"email": "a@gmail.com"}, Suspicion.same_domain, id="a large provider"),
        pytest.param({"email": "a@example.com"}, Suspicion.same_domain, id="nobody's domain"),
        pytest.param({"phone": "949 555 0101"}, Suspicion.same_prefix, id="a number of fiction"),
        pytest.param({"phone": "800 253 0101"}, Suspicion.same_prefix, id="a toll-free number"),
        pytest.param({"message": "Please call me."}, Suspicion.same_message, id="a short message"),
        pytest.param({"phone": None}, Suspicion.same_number, id="no number"),
        pytest.param({"email": None}, Suspicion.same_email, id="no address"),
    ],
)
def test_what_people_share_by_chance_is_not_counted(
    fields: dict[str, Any], not_counted: Suspicion
) -> None:
    assert not_counted not in counted(**fields)


def test_a_flood_is_counted_by_its_manner_and_then_by_its_door() -> None:
    bot = Manner(is_vouched=False, is_first=False, agent="curl")
    patient = Manner(is_vouched=True, is_first=True, agent="Safari")
    other = Manner(is_vouched=False, is_first=True, agent="curl")

    values = [[one.value for one in flood(manner, BOUNDS)] for manner in (bot, patient, other)]

    assert len({value for pair in values for value in pair}) == 5, "two share a door"
    assert [one.limit for one in flood(bot, BOUNDS)] == [8, 15]


def test_windows_begin_with_the_epoch() -> None:
    at = datetime(2026, 11, 23, 17, 9, 59, 5, tzinfo=UTC)

    assert window_of(at, timedelta(minutes=10)) == datetime(2026, 11, 23, 17, 0, tzinfo=UTC)
    assert window_of(at, timedelta(hours=1)) == datetime(2026, 11, 23, 17, tzinfo=UTC)
    assert window_of(datetime(2026, 11, 23, 17, tzinfo=UTC), timedelta(hours=1)) == datetime(
        2026, 11, 23, 17, tzinfo=UTC
    )


@pytest.mark.parametrize(
    ("address", "network"),
    [
        pytest.param("203.0.113.9", "203.0.113.9", id="IPv4"),
        pytest.param("::ffff:203.0.113.9", "203.0.113.9", id="IPv4 in the dress of IPv6"),
        pytest.param("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", id="IPv6"),
        pytest.param("2001:db8:1:2::9", "2001:db8:1:2::/64", id="its neighbour"),
        pytest.param("198.51.100.7", None, id="a server that is spared"),
        pytest.param("2001:db8:ff::1", None, id="a spared network"),
        pytest.param("testclient", None, id="no address"),
        pytest.param(None, None, id="nothing"),
    ],
)
def test_who_is_counted_by_address(address: str | None, network: str | None) -> None:
    spared = [ipaddress.ip_network(one) for one in ("198.51.100.0/24", "2001:db8:ff::/48")]

    assert network_of(address, spared) == network


def test_every_suspicion_has_its_sentence() -> None:
    assert SENTENCES.keys() == set(Suspicion)
