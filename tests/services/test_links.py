"""Signed links: they name a delivery, end when they should, and cannot be made by anybody else."""

import uuid
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import URLSafeSerializer

from followup.errors import NotFound
from followup.services.links import ACT_LIFE, OPENING_LIFE, Links

NEW, OLD, FOREIGN = ("new-" * 10, "old-" * 10, "foreign-" * 5)
URL = "https://followup.example.com"
LINKS = Links([NEW, OLD], URL)

DELIVERY = uuid.UUID("01900000-0000-7000-8000-00000000abcd")
DUE = datetime(2026, 12, 1, 18, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def act_token(links: Links = LINKS) -> str:
    return links.act_url(DELIVERY, DUE).removeprefix(f"{URL}/act/")


def unsubscribe_token(links: Links = LINKS) -> str:
    return links.unsubscribe_url(DELIVERY).removeprefix(f"{URL}/unsubscribe/")


def test_each_link_names_its_delivery() -> None:
    assert LINKS.read_act(act_token(), DUE) == DELIVERY
    assert LINKS.read_unsubscribe(unsubscribe_token()) == DELIVERY


def test_a_link_says_nothing_that_a_person_could_read() -> None:
    assert not {"/", "?", "&", "#", "@", "+"} & set(act_token() + unsubscribe_token())
    assert str(DELIVERY) not in act_token()


@pytest.mark.parametrize(
    ("now", "works"),
    [
        pytest.param(DUE - timedelta(days=1), True, id="before it was due"),
        pytest.param(DUE + ACT_LIFE - SECOND, True, id="a second before its end"),
        pytest.param(DUE + ACT_LIFE, False, id="at its end"),
        pytest.param(DUE + timedelta(days=400), False, id="long after"),
    ],
)
def test_a_link_to_act_works_for_a_week(now: datetime, works: bool) -> None:
    if works:
        assert LINKS.read_act(act_token(), now) == DELIVERY
    else:
        with pytest.raises(NotFound, match="has expired"):
            LINKS.read_act(act_token(), now)


def test_keys_that_were_rotated_out_of_first_place_still_open_their_links() -> None:
    before = Links([OLD], URL)

    assert LINKS.read_act(act_token(before), DUE) == DELIVERY
    assert LINKS.read_unsubscribe(unsubscribe_token(before)) == DELIVERY


def test_the_first_key_signs() -> None:
    assert Links([NEW], URL).read_act(act_token(), DUE) == DELIVERY
    before = Links([OLD], URL)
    with pytest.raises(NotFound):
        before.read_act(act_token(), DUE)


def _changed(token: str) -> str:
    return ("B" if token[0] == "A" else "A") + token[1:]


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(act_token(Links([FOREIGN], URL)), id="another key"),
        pytest.param(unsubscribe_token(), id="a link to unsubscribe"),
        pytest.param(_changed(act_token()), id="a letter changed"),
        pytest.param(act_token().rpartition(".")[0], id="without its signature"),
        pytest.param(act_token() + "x", id="a letter more"),
        pytest.param("", id="empty"),
        pytest.param("." * 50, id="dots"),
        pytest.param("\ud800", id="half a surrogate pair"),
        pytest.param("é" * 20, id="no ASCII"),
        pytest.param("A" * 100_000, id="long"),
    ],
)
def test_a_forged_link_does_not_act(token: str) -> None:
    with pytest.raises(NotFound, match="not valid"):
        LINKS.read_act(token, DUE)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(unsubscribe_token(Links([FOREIGN], URL)), id="another key"),
        pytest.param(act_token(), id="a link to act"),
        pytest.param(_changed(unsubscribe_token()), id="a letter changed"),
        pytest.param("", id="empty"),
        pytest.param("\ud800", id="half a surrogate pair"),
    ],
)
def test_a_forged_link_does_not_unsubscribe(token: str) -> None:
    with pytest.raises(NotFound, match="not valid"):
        LINKS.read_unsubscribe(token)


@pytest.mark.parametrize(
    "signed",
    [None, 7, "short", [], ["x"], ["short", 0], [None, 0], [7, 7], {"a": 1}, ["A" * 22, 10**30]],
    ids=str,
)
def test_what_we_signed_for_something_else_is_not_valid(signed: object) -> None:
    for salt in ("act", "unsubscribe"):
        token = URLSafeSerializer([NEW], salt=salt).dumps(signed)
        with pytest.raises(NotFound):
            LINKS.read_act(token, DUE)
        with pytest.raises(NotFound):
            LINKS.read_unsubscribe(token)


@pytest.mark.parametrize(("salt", "other"), [("act", "unsubscribe"), ("unsubscribe", "act")])
def test_what_we_signed_for_one_use_does_not_serve_another(salt: str, other: str) -> None:
    token = act_token() if salt == "act" else unsubscribe_token()
    said = URLSafeSerializer([NEW], salt=salt).loads(token)
    signed_otherwise = URLSafeSerializer([NEW], salt=other).dumps(said)

    read = partial(LINKS.read_act, now=DUE) if salt == "act" else LINKS.read_unsubscribe
    with pytest.raises(NotFound):
        read(signed_otherwise)


@given(st.text())
def test_any_token_is_read_or_refused(token: str) -> None:
    with pytest.raises(NotFound):
        LINKS.read_act(token, DUE)
    with pytest.raises(NotFound):
        LINKS.read_unsubscribe(token)


@given(st.uuids(), st.datetimes(datetime(2020, 1, 1), datetime(2200, 1, 1)))
def test_every_delivery_comes_back_from_its_link(delivery: uuid.UUID, due: datetime) -> None:
    due_at = due.replace(tzinfo=UTC)

    token = LINKS.act_url(delivery, due_at).rpartition("/")[2]

    assert LINKS.read_act(token, due_at) == delivery


def test_twilio_reports_to_an_address_that_ends_with_the_delivery() -> None:
    address, _, asks = LINKS.status_url(DELIVERY).partition("#")

    assert address == f"{URL}/webhooks/twilio/status/{DELIVERY}"
    assert asks == "rc=3&rp=5xx,ct,rt"


def test_each_token_opens_its_own_door_alone() -> None:
    act, unsubscribe, opening = act_token(), unsubscribe_token(), LINKS.opening(DUE)

    assert LINKS.read_opening(opening, DUE) is not None
    for token in (act, unsubscribe):
        assert LINKS.read_opening(token, DUE) is None
    for token in (unsubscribe, opening):
        with pytest.raises(NotFound):
            LINKS.read_act(token, DUE)
    for token in (act, opening):
        with pytest.raises(NotFound):
            LINKS.read_unsubscribe(token)


@pytest.mark.parametrize(
    ("now", "is_read"),
    [
        pytest.param(DUE, True, id="at once"),
        pytest.param(DUE + OPENING_LIFE - SECOND, True, id="a second before its end"),
        pytest.param(DUE + OPENING_LIFE, False, id="at its end"),
        pytest.param(DUE - SECOND, False, id="before it was made"),
    ],
)
def test_a_form_says_for_a_day_when_it_was_opened(now: datetime, is_read: bool) -> None:
    opening = LINKS.read_opening(LINKS.opening(DUE), now)

    assert (opening is not None) is is_read
    assert opening is None or opening.opened_at == DUE


def test_no_two_forms_have_the_same_opening_and_nobody_else_makes_one() -> None:
    assert LINKS.opening(DUE) != LINKS.opening(DUE)
    assert LINKS.read_opening(Links([FOREIGN], URL).opening(DUE), DUE) is None
    assert LINKS.read_opening(_changed(LINKS.opening(DUE)), DUE) is None
    assert LINKS.read_opening(Links([OLD], URL).opening(DUE), DUE) is not None
