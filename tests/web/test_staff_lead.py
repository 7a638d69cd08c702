"""A lead's page: what they wrote, what happened and why, what comes next, and its buttons."""

import re
import uuid
from collections.abc import Mapping
from datetime import timedelta
from html import unescape
from typing import Any

import pytest

from followup.clinic_limits import Limits
from followup.domain.answer import Answer
from followup.domain.audit import Door
from followup.domain.cadence import Lane
from followup.domain.consent import Act, MatchedBy
from followup.domain.delivery import Reason, Status
from followup.domain.lead import Closing, LeadStatus, Outcome
from followup.domain.suspicion import Suspicion
from followup.services import receiving, working
from followup.services.receiving import Text
from followup.store import entries
from followup.store.db import reading, transaction
from tests.web.caller import Caller
from tests.web.test_staff_board import Browser

ALICE_PHONE = "+14155550101"


@pytest.fixture
def dana(api: Caller) -> Browser:
    return Browser(api)


@pytest.fixture
def bearer(api: Caller) -> dict[str, str]:
    return api.staff("Somebody with a token")


def page(browser: Browser, lead: Mapping[str, Any]) -> str:
    """What the page says, in one line."""
    answer = browser.get(f"/staff/leads/{lead['id']}")
    assert answer.status_code == 200, answer.text
    body = answer.text[answer.text.index("<main") :]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def test_what_they_wrote_stands_there_with_fields_that_nobody_knows_and_scores(
    api: Caller, dana: Browser, bearer: dict[str, str]
) -> None:
    answers = {
        "struggles": ["depression"],
        "tried_medication": True,
        "tried_talk_therapy": "no",
        "phq9": [2] * 9,
        "gad7": [0, None] + [3] * 5,
        "hours_of_sleep": 4,
    }
    lead = api.lead(
        bearer,
        "screening",
        answers=answers,
        message=None,
        location="manhattan-beach",
        favourite_day="Monday",
    )

    said = page(dana, lead)

    assert "Have you tried medication for this? Yes" in said
    assert "Have you tried talk therapy? No" in said
    assert "Location Manhattan Beach" in said
    assert "Are you struggling with any of these? Depression" in said
    assert "favourite_day Monday" in said
    assert "answers.hours_of_sleep 4" in said
    assert "PHQ-9 18 of 27, moderately severe, screen positive (screening, not a diagnosis)" in said
    assert "GAD-7 no score, without answer 2 (screening, not a diagnosis)" in said


def test_a_yes_or_no_that_was_typed_is_said_in_the_words_of_the_page(
    api: Caller, dana: Browser, bearer: dict[str, str]
) -> None:
    answers = {"struggles": "yes", "tried_medication": "sí", "tried_talk_therapy": "0"}
    lead = api.lead(bearer, "screening", answers=answers, message="no", consent_sms="on")

    said = page(dana, lead)

    assert "Are you struggling with any of these? Yes" in said
    assert "Have you tried medication for this? Yes Have you tried talk therapy? No" in said
    assert "Agreed to texts Yes" in said
    assert "Message no" in said


def test_the_story_is_in_order_of_time_with_every_text_and_reason(
    api: Caller, dana: Browser, bearer: dict[str, str]
) -> None:
    lead = api.lead(bearer, consent_sms=False)
    api.send_due(*Lane)
    api.clock.pass_by(timedelta(minutes=2))
    text = Text("SM1", ALICE_PHONE, "Can you call after six?")
    receiving.receive_reply(api.service.engine, api.service.planner, text, api.clock.now())
    api.clock.pass_by(timedelta(minutes=2))
    dana.act(lead, "attempts", note="voicemail")
    dana.act(lead, "notes", note="works nights")
    api.clock.pass_by(timedelta(minutes=2))
    dana.act(lead, "contacted", outcome="booked", note="Friday at ten")

    said = page(dana, lead)

    story = said[said.index("What happened") :]
    told = [
        "9:05 AM Contact form came in.",
        "Did not agree to text messages. By the box beside the number.",
        "Acknowledgement, mail to alice@example.com taken by the provider",
        "Acknowledgement, text to (415) 555-0101 not sent The person has not agreed to text",
        "9:07 AM The person wrote a text. Can you call after six?",
        "9:09 AM Dana tried to reach the person. voicemail",
        "Dana noted: works nights",
        "9:11 AM Dana reached the person. Booked a visit.",
        "Friday at ten",
    ]
    places = [story.find(words) for words in told]
    assert -1 not in places, dict(zip(told, places, strict=True))
    apart = {"Did not", "Acknow"}  # at one instant with what came in
    in_order = [place for words, place in zip(told, places, strict=True) if words[:6] not in apart]
    assert in_order == sorted(in_order)
    assert "Alert to staff: Front desk (mail, taken by the provider)" in story
    assert "/act/…" in story  # whoever has the link acts in the name of whom it was sent to
    assert re.search(r"/(act|unsubscribe)/\w", story) is None
    assert "Contacted by Dana, today 9:11 AM Booked a visit" in said
    assert "Nothing is planned." in said


def test_what_comes_next_says_when_and_what_it_waits_for(
    api: Caller, dana: Browser, bearer: dict[str, str]
) -> None:
    lead = api.lead(bearer)
    dana.act(lead, "snooze", **{"for": "1d"})

    said = page(dana, lead)

    ahead = said[said.index("What comes next") : said.index("More")]
    assert "today 9:10 AM Reminder, mail to Front desk" in ahead
    assert "Reminders rest until tomorrow 9:05 AM." in ahead


def test_a_snooze_until_is_by_the_clock_of_the_site(
    api: Caller, dana: Browser, bearer: dict[str, str]
) -> None:
    lead = api.lead(bearer)

    assert dana.act(lead, "snooze", until="2026-11-24T16:30").status_code == 303

    assert "Rests until tomorrow 4:30 PM" in page(dana, lead)
    assert api.whole(bearer, lead["id"])["snoozed_until"] == "2026-11-25T00:30:00Z"
    for wrong in ("2026-11-23T09:00", "2027-11-24T16:30", "soon", ""):
        assert dana.act(lead, "snooze", until=wrong).status_code == 422, wrong


def test_it_is_given_to_a_colleague_and_only_by_who_knows_who_has_it(
    api: Caller, dana: Browser, bearer: dict[str, str]
) -> None:
    lead, eve = api.lead(bearer), Browser(api, "Eve")

    given = dana.act(lead, "assign", to="colleague", colleague="Eve", expected="")
    late = dana.act(lead, "assign", to="me", expected="")

    assert (given.status_code, late.status_code) == (303, 409)
    assert "Dana gave it to Eve." in page(eve, lead)
    assert "Yours" in page(eve, lead)
    stranger = eve.act(lead, "assign", to="colleague", colleague="Nobody", expected="Eve")
    assert stranger.status_code == 422
    assert eve.act(lead, "assign", to="nobody", expected="Eve").status_code == 303
    assert "Nobody has it" in page(dana, lead)


def test_a_wrong_number_is_closed_and_silent_and_reopening_leaves_it_silent(
    api: Caller, dana: Browser, bearer: dict[str, str]
) -> None:
    lead = api.lead(bearer)

    dana.act(lead, "close", why="wrong_number", note="a bakery")

    said = page(dana, lead)
    assert "Closed by Dana, today 9:05 AM Wrong number" in said
    assert "No texts may be sent to this number." in said
    assert "Nothing is planned." in said
    assert dana.references() == []

    dana.act(lead, "reopen")

    assert dana.references() == [lead["reference"]]
    assert "No texts may be sent to this number." in page(dana, lead)


@pytest.mark.parametrize(
    ("channel", "silent"),
    [("sms", {"sms"}), ("email", {"email"}), ("both", {"email", "sms"})],
)
def test_what_the_person_says_about_being_written_to_is_done_per_channel(
    api: Caller, dana: Browser, bearer: dict[str, str], channel: str, silent: set[str]
) -> None:
    lead = api.lead(bearer)

    dana.act(lead, "opt-out", channel=channel, note="please stop")

    found = api.whole(bearer, lead["id"])["suppressions"]
    assert {one["channel"] for one in found} == silent
    assert "please stop" in page(dana, lead)

    assert dana.act(lead, "opt-in", channel=channel, note="").status_code == 422
    dana.act(lead, "opt-in", channel=channel, note="asked for it by phone")

    found = api.whole(bearer, lead["id"])["suppressions"]
    assert all(one["lifted_at"] for one in found)


@pytest.mark.parametrize(
    ("verb", "status"), [("release", "open"), ("reject", "closed"), ("close", "closed")]
)
def test_a_held_lead_says_why_and_is_let_in_or_not(
    api: Caller, dana: Browser, bearer: dict[str, str], verb: str, status: str
) -> None:
    submission_id = api.submit(name="Buy at www.example.com")
    api.consume(Limits())
    found = api.http.get(f"/admin/leads?submission={submission_id}", headers=bearer).json()
    (lead,) = found["items"]
    assert "There is a web address in the name." in page(dana, lead)

    assert dana.act(lead, verb, why="spam").status_code == 303

    assert api.whole(bearer, lead["id"])["status"] == status
    assert "There is a web address in the name." not in page(dana, lead)


def test_danger_and_a_possible_duplicate_are_said_at_the_top(
    api: Caller, dana: Browser, bearer: dict[str, str]
) -> None:
    first = api.lead(bearer)
    second = api.lead(bearer, name="Bob", email="bob@example.com", message="I want to end it all")

    said = page(dana, second)

    assert "May be in danger: call now" in said
    assert f"This may be the same person as Alice Ng {first['reference']}" in said
    assert "May be in danger. Found: end it all" in said


def test_that_it_was_seen_is_in_the_trail_before_it_is_shown(
    api: Caller, dana: Browser, bearer: dict[str, str]
) -> None:
    lead = api.lead(bearer)

    page(dana, lead)

    with reading(api.service.engine) as session:
        newest = entries.list_entries(session)[0]
    assert (newest.verb, newest.by, newest.door) == ("seen", "Dana", Door.page)
    assert newest.lead_id == uuid.UUID(lead["id"])


def test_what_somebody_wrote_is_text_on_the_page_and_runs_nothing(
    api: Caller, dana: Browser, bearer: dict[str, str]
) -> None:
    lead = api.lead(bearer, message="<script>alert(1)</script>", **{"<b>field</b>": "<i>x</i>"})
    dana.act(lead, "notes", note="<u>note</u>")

    text = dana.get(f"/staff/leads/{lead['id']}").text

    assert "<script>alert" not in text
    assert not any(tag in text for tag in ("<b>field", "<i>x", "<u>note"))


def test_a_lead_that_is_not_there_is_not_found(dana: Browser) -> None:
    assert dana.get(f"/staff/leads/{uuid.uuid4()}").status_code == 404
    assert dana.get("/staff/leads/K7Q4").status_code == 404


def test_of_two_the_second_is_told_who_was_first(
    api: Caller, dana: Browser, bearer: dict[str, str]
) -> None:
    lead = api.lead(bearer)
    with transaction(api.service.engine) as session:
        lead_id = uuid.UUID(lead["id"])
        working.mark_contacted(session, lead_id, by="Eve", now=api.clock.now())

    for verb in ("contacted", "attempts", "close"):
        answer = dana.act(lead, verb, why="spam", note="me too")
        assert answer.status_code == 409, verb
        assert "Eve was first" in answer.text


#: What decisions are kept with.
FACTS = {
    *("lead", "channel", "consent", "zones", "zones_from", "states", "window", "answer"),
    *("suppressed", "not_textable", "until", "consent_id", "suppression_checked_at", "local_time"),
    *("wording", "problem", "code", "asked"),
}


@pytest.mark.parametrize("language", ["en", "es"])
def test_every_word_is_there_in_each_language(api: Caller, language: str) -> None:
    module = api.service.pages.get_template(f"staff/text.{language}.html").module
    words = module.t["lead"]  # type: ignore[attr-defined]

    assert words["statuses"].keys() == set(Status)
    assert words["outcomes"].keys() == set(Outcome)
    assert words["closings"].keys() == set(Closing)
    assert words["facts"].keys() == FACTS
    assert words["fact_words"]["lead"].keys() == set(LeadStatus)
    assert words["fact_words"]["answer"].keys() == set(Answer)
    assert words["consent_acts"].keys() == set(Act)
    assert words["matched_by"].keys() == set(MatchedBy)
    if language != "en":  # whose sentences are the domain's own
        assert words["reasons"].keys() == set(Reason)
        assert words["suspicions"].keys() == set(Suspicion)


def test_the_page_is_whole_in_spanish_too(
    api: Caller, dana: Browser, bearer: dict[str, str]
) -> None:
    lead = api.lead(bearer, "screening", answers={"phq9": [1] * 9}, message=None)
    api.send_due(*Lane)
    receiving.receive_reply(
        api.service.engine, api.service.planner, Text("SM1", ALICE_PHONE, "STOP"), api.clock.now()
    )
    api.send_due(*Lane)
    facts = {fact for one in api.whole(bearer, lead["id"])["decisions"] for fact in one["facts"]}
    dana.act(lead, "attempts", note="buzón")
    spanish = api.service.clinic.model_copy(update={"default_language": "es"})
    object.__setattr__(api.service, "clinic", spanish)

    said = page(dana, lead)

    assert "Dana intentó comunicarse con la persona." in said
    assert "PHQ-9 9 de 27, leve, tamizaje negativo (tamizaje, no un diagnóstico)" in said
    assert "Se sabe por: el prefijo del número y la sede" in said
    assert "Respuesta: Confirmación de la baja" in said
    assert {"zones_from", "answer", "suppression_checked_at"} <= facts <= FACTS
    assert not any(f"{fact}:" in said for fact in facts)
    for english in ("What happened", "taken by", "Reminder to", "Reminder, ", "Snooze", "By: api"):
        assert english not in said


def test_what_is_not_possible_is_said_in_spanish_too(api: Caller, dana: Browser) -> None:
    spanish = api.service.clinic.model_copy(update={"default_language": "es"})
    object.__setattr__(api.service, "clinic", spanish)

    answer = dana.get(f"/staff/leads/{uuid.uuid4()}")

    assert answer.status_code == 404
    assert "<h1>No se encontró</h1>" in answer.text


def test_a_noted_duplicate_is_merged_shown_and_taken_apart(
    api: Caller, dana: Browser, bearer: dict[str, str]
) -> None:
    lead = api.lead(bearer)
    part = api.lead(bearer, name="Alicia", email="alicia@example.com", message="It is me again")

    answer = dana.act(part, "merge", next=f"/staff/leads/{lead['id']}")

    assert answer.headers["location"] == f"/staff/leads/{lead['id']}"
    assert dana.references() == [lead["reference"]]
    said = page(dana, lead)
    assert f"The same person: Alicia {part['reference']} Take apart" in said
    assert "It is me again" in said
    assert f"Dana merged {part['reference']} into it." in said
    assert f"Merged; this is a part of Alice Ng {lead['reference']}" in page(dana, part)

    dana.act(part, "reopen")

    assert dana.references() == [lead["reference"], part["reference"]]
    assert "It is me again" not in page(dana, lead)
