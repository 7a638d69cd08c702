"""The chain's arithmetic: what a walk along it finds, and what a digest depends on."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from followup.domain.audit import Door, Walk, digest, head_mac, mac_of, seal_of

KEY, OTHER = b"k" * 32, b"o" * 32
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)

Link = dict[str, Any]


def chain(length: int = 5) -> list[Link]:
    links: list[Link] = []
    seal = ""
    for position in range(1, length + 1):
        entry = {"id": position, "at": NOON, "verb": "seen", "by": "Ann", "door": Door.api}
        mac = mac_of(KEY, entry)
        seal = seal_of(KEY, position, seal, mac)
        links.append({"position": position, "entry": entry, "mac": mac, "seal": seal})
    return links


def walk(links: list[Link], position: int, seal: str, mac: str | None = None) -> list[str]:
    """Which places a walk finds fault with."""
    walked = Walk(KEY)
    found = [flaw for link in links for flaw in walked.step(**link)]
    found += walked.end(position, seal, head_mac(KEY, position, seal) if mac is None else mac)
    return list(dict.fromkeys(flaw.where for flaw in found))


def change(place: int, name: str, value: object) -> Callable[[list[Link]], None]:
    def spoil(links: list[Link]) -> None:
        links[place]["entry"] = {**links[place]["entry"], name: value}

    return spoil


def put(place: int, name: str, value: object) -> Callable[[list[Link]], None]:
    return lambda links: links[place].update({name: value})


def remove(*places: int) -> Callable[[list[Link]], None]:
    def spoil(links: list[Link]) -> None:
        for place in sorted(places, reverse=True):
            del links[place]

    return spoil


def swap(one: int, other: int) -> Callable[[list[Link]], None]:
    """As if each had been written at the other's position."""

    def spoil(links: list[Link]) -> None:
        a, b = links[one], links[other]
        links[one] = {**b, "position": a["position"]}
        links[other] = {**a, "position": b["position"]}

    return spoil


def forge(links: list[Link]) -> None:
    """By somebody without the key, who chains with one of their own."""
    entry = {**links[2]["entry"], "by": "Eve"}
    mac = mac_of(OTHER, entry)
    links[2].update(entry=entry, mac=mac, seal=seal_of(OTHER, 3, links[1]["seal"], mac))


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        pytest.param(lambda _links: None, [], id="as it was written"),
        pytest.param(change(0, "by", "Anm"), ["entry 1"], id="one byte of the first"),
        pytest.param(change(2, "verb", "seem"), ["entry 3"], id="one byte amid"),
        pytest.param(change(4, "at", NOON + timedelta(hours=1)), ["entry 5"], id="the last's time"),
        pytest.param(put(2, "mac", "0" * 64), ["entry 3"], id="a mac"),
        pytest.param(put(2, "seal", "0" * 64), ["entry 3"], id="a seal"),
        pytest.param(put(2, "entry", None), ["entry 3"], id="unreadable"),
        pytest.param(remove(0), ["entry 1"], id="the first removed"),
        pytest.param(remove(2), ["entry 3"], id="one amid removed"),
        pytest.param(remove(1, 2), ["entries 2 to 3"], id="two amid removed"),
        pytest.param(remove(4), ["entry 5"], id="the last removed"),
        pytest.param(remove(3, 4), ["entries 4 to 5"], id="the last two removed"),
        pytest.param(remove(0, 1, 2, 3, 4), ["entries 1 to 5"], id="all removed"),
        pytest.param(swap(1, 2), ["entry 2", "entry 3"], id="two neighbours swapped"),
        pytest.param(swap(0, 4), ["entry 1", "entry 5"], id="first and last swapped"),
        pytest.param(forge, ["entry 3"], id="forged with another key"),
    ],
)
def test_a_walk_finds_what_is_not_as_it_was(
    spoil: Callable[[list[Link]], None], found: list[str]
) -> None:
    links = chain()
    end = links[-1]["seal"]

    spoil(links)

    assert walk(links, 5, end) == found


@pytest.mark.parametrize(
    ("position", "seal_at", "mac"),
    [
        pytest.param(4, 4, None, id="an end that was one earlier, with entries left behind it"),
        pytest.param(5, 4, None, id="another seal"),
        pytest.param(5, 5, "0" * 64, id="a mac that is not the service's"),
    ],
)
def test_a_head_that_does_not_fit_is_found(position: int, seal_at: int, mac: str | None) -> None:
    links = chain()

    assert walk(links, position, links[seal_at - 1]["seal"], mac) == ["head"]


def test_a_digest_is_the_same_for_the_same_row_and_no_other() -> None:
    row = {"id": 1, "at": NOON, "facts": {"b": 1, "a": [Door.api]}, "note": None}
    there = NOON.astimezone(timezone(timedelta(hours=-8)))

    same = digest(
        KEY, "actions", {"facts": {"a": ["api"], "b": 1}, "at": there, "id": 1, "new": None}
    )

    assert digest(KEY, "actions", row) == same
    others = [("consents", row, KEY), ("actions", {**row, "id": 2}, KEY), ("actions", row, OTHER)]
    assert same not in [digest(key, table, values) for table, values, key in others]
