"""Submissions by every door: what is taken, what is refused and how, and the hosted forms."""

import json
import re
import uuid
from html import unescape
from typing import Any
from urllib.parse import urlencode

import pytest

from followup.domain.submission import Kind
from followup.store import submissions
from followup.store.db import reading
from tests.waiting import eventually
from tests.web.caller import ALICE, NOW, Caller, faults

FORM = {
    "name": "Alice Ng",
    "email": "alice@example.com",
    "phone": "(415) 555-0101",
    "consent_sms": "yes",
}
BROWSER = {"Accept": "text/html,application/xhtml+xml"}
BOUNDARY = "limit"
ANSWERS = {
    "struggles": ["depression", "anxiety"],
    "symptoms": ["low energy"],
    "tried_medication": True,
    "phq2": [3, None],
}


def multipart(fields: dict[str, str], extra: str = "") -> dict[str, Any]:
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    body = "".join(parts) + extra + f"--{BOUNDARY}--\r\n"
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    return {"content": body.encode(), "headers": {"Content-Type": kind}}


def kept(api: Caller, submission_id: str) -> Any:
    with reading(api.service.engine) as session:
        return submissions.find_submission(session, uuid.UUID(submission_id))


@pytest.mark.parametrize("kind", ["contact", "screening"])
@pytest.mark.parametrize(
    "sent",
    [
        pytest.param({"json": dict(ALICE)}, id="json"),
        pytest.param({"data": FORM}, id="urlencoded"),
        pytest.param(multipart(FORM), id="multipart"),
    ],
)
def test_a_submission_is_kept_and_answered_in_every_encoding(
    api_everywhere: Caller, kind: str, sent: dict[str, Any]
) -> None:
    answer = api_everywhere.http.post(f"/submissions/{kind}", **sent)

    assert answer.status_code == 202
    assert answer.json() == {"submission_id": answer.json()["submission_id"], "status": "accepted"}
    row = kept(api_everywhere, answer.json()["submission_id"])
    assert row.kind is Kind(kind)
    assert row.received_at == NOW
    assert row.payload["name"] == "Alice Ng"
    assert row.payload["phone"] == "(415) 555-0101", "as typed"


def test_an_accepted_submission_rings_for_the_consumer(api: Caller) -> None:
    api.submit()

    eventually(lambda: api.rings == ["intake"])


def test_the_screenings_answers_are_kept(api: Caller) -> None:
    submission_id = api.submit("screening", answers=ANSWERS)

    assert kept(api, submission_id).payload["answers"] == ANSWERS


def test_a_forms_answers_are_read_by_their_dotted_names(api: Caller) -> None:
    body = urlencode(
        [
            *FORM.items(),
            ("answers.symptoms", "low energy"),
            ("answers.symptoms", "trouble sleeping"),
            ("answers.tried_medication", "no"),
        ]
    )
    answer = api.http.post(
        "/submissions/screening",
        content=body,
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )

    assert kept(api, answer.json()["submission_id"]).payload["answers"] == {
        "symptoms": ["low energy", "trouble sleeping"],
        "tried_medication": "no",
    }


@pytest.mark.parametrize("first", ["answers", "answers.symptoms"])
def test_no_field_is_dropped_when_two_claim_one_name(api: Caller, first: str) -> None:
    fields = {**FORM, first: "one", "answers": "loose", "answers.symptoms": "low energy"}
    answer = api.http.post("/submissions/contact", data=fields)

    said = json.dumps(kept(api, answer.json()["submission_id"]).payload)
    assert "loose" in said
    assert "low energy" in said


def test_unknown_fields_are_kept_and_shown_to_staff(api: Caller, dana: dict[str, str]) -> None:
    lead = api.lead(dana, utm_source="site", nested={"a": [1, 2.5, None, True]})

    assert lead["submissions"][0]["fields"]["utm_source"] == "site"
    assert lead["submissions"][0]["fields"]["nested"] == {"a": [1, 2.5, None, True]}


def test_the_same_key_gets_the_same_answer_and_one_submission(api_everywhere: Caller) -> None:
    api, key = api_everywhere, {"Idempotency-Key": "form-1"}
    first = api.http.post("/submissions/contact", json=dict(ALICE), headers=key)
    again = api.http.post("/submissions/contact", json=dict(ALICE), headers=key)

    assert (again.status_code, again.json()) == (202, first.json())
    with reading(api.service.engine) as session:
        assert sum(submissions.count_by_status(session).values()) == 1


def test_the_same_key_with_other_content_is_a_conflict(api_everywhere: Caller) -> None:
    key = {"Idempotency-Key": "form-1"}
    api_everywhere.http.post("/submissions/contact", json=dict(ALICE), headers=key)
    other = {**ALICE, "message": "Something else."}
    answer = api_everywhere.http.post("/submissions/contact", json=other, headers=key)

    assert answer.status_code == 409
    assert faults(answer) == {}
    assert "Idempotency-Key" in answer.json()["detail"]


def test_a_key_belongs_to_one_form(api: Caller) -> None:
    key = {"Idempotency-Key": "form-1"}
    contact = api.http.post("/submissions/contact", json=dict(ALICE), headers=key)
    screening = api.http.post("/submissions/screening", json=dict(ALICE), headers=key)

    assert screening.status_code == 202
    assert screening.json() != contact.json()


@pytest.mark.parametrize("key", ["", "k" * 256])
def test_a_key_that_is_empty_or_too_long_is_named(api: Caller, key: str) -> None:
    headers = {"Idempotency-Key": key}
    answer = api.http.post("/submissions/contact", json=dict(ALICE), headers=headers)

    assert answer.status_code == 422
    assert set(faults(answer)) == {"idempotency-key"}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        pytest.param({"name": None}, {"name"}, id="no name"),
        pytest.param({"name": ""}, {"name"}, id="an empty name"),
        pytest.param({"name": "x" * 201}, {"name"}, id="a name too long"),
        pytest.param({"name": "Al\r\nBcc: bob@example.com"}, {"name"}, id="a header in the name"),
        pytest.param({"name": "Al\x00ice"}, {"name"}, id="NUL in the name"),
        pytest.param({"name": ["Alice"]}, {"name"}, id="a list for a name"),
        pytest.param({"email": "alice"}, {"email"}, id="no address"),
        pytest.param({"email": "a@example.com\nBcc: b@example.com"}, {"email"}, id="two addresses"),
        pytest.param({"phone": "none"}, {"phone"}, id="words for a phone"),
        pytest.param({"phone": 4155550101}, {"phone"}, id="a number for a phone"),
        pytest.param({"email": None, "phone": " "}, {"email", "phone"}, id="no way to answer"),
        pytest.param({"message": "x" * 5001}, {"message"}, id="a message too long"),
        pytest.param({"role": "doctor"}, {"role"}, id="another role"),
        pytest.param({"interest": "botox"}, {"interest"}, id="another interest"),
        pytest.param({"language": "fr"}, {"language"}, id="another language"),
        pytest.param({"preferred_channel": "fax"}, {"preferred_channel"}, id="another channel"),
        pytest.param({"consent_sms": "perhaps"}, {"consent_sms"}, id="a vague consent"),
        pytest.param(
            {"consent_text_version": "1999-01"}, {"consent_text_version"}, id="unknown words"
        ),
        pytest.param(
            {"name": "", "consent_text_version": "1999-01"},
            {"name", "consent_text_version"},
            id="unknown words beside another fault",
        ),
        pytest.param(
            {"name": "", "email": "x", "phone": "y", "role": "z"},
            {"name", "email", "phone", "role"},
            id="every fault at once",
        ),
        pytest.param({"utm": "\ud800"}, {"utm"}, id="half a character in an unknown field"),
        pytest.param({"utm": float("1e999")}, {"utm"}, id="a number beyond all bounds"),
    ],
)
def test_every_wrong_field_is_named(api: Caller, fields: dict[str, Any], named: set[str]) -> None:
    body = json.dumps({**ALICE, **fields}).replace("Infinity", "1e999")
    answer = api.http.post(
        "/submissions/contact", content=body, headers={"Content-Type": "application/json"}
    )

    assert answer.status_code == 422
    assert set(faults(answer)) == named


@pytest.mark.parametrize(
    ("answers", "named"),
    [
        pytest.param("yes", "answers", id="not an object"),
        pytest.param({"phq9": [1, 2]}, "answers.phq9", id="too few items"),
        pytest.param({"phq2": [1, 4]}, "answers.phq2.1", id="an item beyond its scale"),
        pytest.param({"tried_medication": "maybe"}, "answers.tried_medication", id="maybe"),
        pytest.param({"symptoms": [1]}, "answers.symptoms.0", id="a number for a symptom"),
    ],
)
def test_a_wrong_answer_is_named_with_its_place(api: Caller, answers: Any, named: str) -> None:
    answer = api.http.post("/submissions/screening", json={**ALICE, "answers": answers})

    assert answer.status_code == 422
    assert set(faults(answer)) == {named}


@pytest.mark.parametrize("depth", [30, 900])
def test_nesting_that_could_not_be_shown_again_is_refused(api: Caller, depth: int) -> None:
    body = json.dumps(dict(ALICE))[:-1] + ', "deep": ' + "[" * depth + "]" * depth + "}"
    headers = {"Content-Type": "application/json"}
    answer = api.http.post("/submissions/contact", content=body, headers=headers)

    assert answer.status_code in (400, 422)


def test_what_was_refused_is_not_kept(api: Caller) -> None:
    api.http.post("/submissions/contact", json={**ALICE, "email": "alice"})

    with reading(api.service.engine) as session:
        assert submissions.count_by_status(session) == {}
    assert api.rings == []


def test_an_old_consent_version_is_taken_and_an_absent_one_is_the_current(
    api: Caller, dana: dict[str, str]
) -> None:
    lead = api.lead(dana, consent_text_version="2026-11")
    other = api.lead(dana, name="Bob", email="bob@example.com", phone="(415) 555-0102")

    assert lead["consents"][0]["text_version"] == "2026-11"
    assert other["consents"][0]["text_version"] == "2026-11"
    assert "STOP" in other["consents"][0]["text"]


def test_a_browsers_form_ends_on_the_page_that_says_what_happens_next(api: Caller) -> None:
    answer = api.http.post("/submissions/contact", data=FORM, headers=BROWSER)
    page = api.http.get(answer.headers["location"])

    assert answer.status_code == 303
    assert page.status_code == 200
    assert "today by 10:05 AM" in page.text
    for needed in ("tel:988", "tel:911", "(949) 555-0100"):
        assert needed in page.text
    assert "Alice" not in page.text


def test_the_page_after_a_referrers_form_speaks_to_a_referrer_in_their_language(
    api: Caller,
) -> None:
    fields = {**FORM, "role": "referrer", "language": "es"}
    answer = api.http.post("/submissions/contact", data=fields, headers=BROWSER)
    page = api.http.get(answer.headers["location"])

    assert '<html lang="es">' in page.text
    assert "una persona a su cuidado" in page.text


def test_a_wrong_form_comes_back_with_what_was_typed_escaped(api: Caller) -> None:
    typed = {
        "name": '"><script>alert(1)</script>',
        "email": "not an address",
        "message": "</textarea>{{ 7*7 }}{% if x %}",
    }
    answer = api.http.post("/submissions/contact", data=typed, headers=BROWSER)

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<script" not in answer.text
    assert answer.text.count("</textarea>") == 1
    for words in typed.values():
        assert words in unescape(answer.text)
    assert 'id="email-error"' in answer.text


def test_a_wrong_form_comes_back_in_the_language_it_was_shown_in(api: Caller) -> None:
    typed = {"name": "Alicia", "language": "es"}
    answer = api.http.post("/submissions/contact", data=typed, headers=BROWSER)

    assert '<html lang="es">' in answer.text
    assert "Por favor, revise esto" in answer.text


@pytest.mark.parametrize("kind", ["contact", "screening"])
@pytest.mark.parametrize("language", [None, "en", "es"])
def test_the_hosted_forms_ask_for_consent_unticked(
    api: Caller, kind: str, language: str | None
) -> None:
    query = f"?language={language}" if language else ""
    page = api.http.get(f"/forms/{kind}{query}")

    assert page.status_code == 200
    assert f'<html lang="{language or "en"}">' in page.text
    assert f'action="/submissions/{kind}"' in page.text
    assert " checked" not in page.text
    assert "<script" not in page.text


def test_an_odd_language_is_named(api: Caller) -> None:
    answer = api.http.get("/forms/contact?language=<b>")

    assert answer.status_code == 422
    assert set(faults(answer)) == {"language"}


def test_a_language_that_the_clinic_does_not_write_is_shown_its_own(api: Caller) -> None:
    assert '<html lang="en">' in api.http.get("/forms/contact?language=fr").text


def test_the_list_of_forms_gives_each_ones_fields_and_consent(api: Caller) -> None:
    listed = api.http.get("/forms").json()

    assert [form["kind"] for form in listed["forms"]] == ["contact", "screening"]
    for form in listed["forms"]:
        assert {"name", "email", "phone", "consent_sms"} <= set(form["fields"])
        assert set(form["consent_sms"]) == {"en", "es"}
        assert all(one["version"] == "2026-11" for one in form["consent_sms"].values())
        assert form["action"] == f"https://followup.example.com/submissions/{form['kind']}"
    assert [site["id"] for site in listed["locations"]] == ["newport-beach", "manhattan-beach"]


@pytest.mark.parametrize(
    ("submission_id", "status"), [(uuid.uuid4(), 404), ("x", 422), ("%00", 422)]
)
def test_the_page_of_no_submission_is_not_found(
    api: Caller, submission_id: object, status: int
) -> None:
    answer = api.http.get(f"/forms/received/{submission_id}")

    assert answer.status_code == status
    faults(answer)


@pytest.mark.parametrize(
    ("ninth", "urgent"), [pytest.param(0, False, id="not at all"), pytest.param(1, True, id="some")]
)
def test_who_thinks_of_self_harm_reads_988_before_anything_else(
    api: Caller, ninth: int, urgent: bool
) -> None:
    submission_id = api.submit("screening", answers={"phq9": [0] * 8 + [ninth]})

    page = api.http.get(f"/forms/received/{submission_id}").text

    assert ("You do not have to wait for our call." in page) is urgent
    first = page.index('href="tel:988"')
    assert (first < page.index("<header")) is urgent
    assert first < page.index("<h1>")


def test_staff_read_scores_and_no_patient_does(api: Caller, dana: dict[str, str]) -> None:
    answers = {"phq9": [3] * 8 + [0], "gad7": [1] * 6 + [None], "phq2": [1, 2]}

    lead = api.lead(dana, "screening", answers=answers)

    scores = lead["submissions"][0]["scores"]
    assert [(one["instrument"], one["total"], one["band"], one["missing"]) for one in scores] == [
        ("PHQ-2", 3, None, []),
        ("PHQ-9", 24, "severe", []),
        ("GAD-7", None, None, [7]),
    ]
    assert {one["note"] for one in scores} == {"screening, not a diagnosis"}
    page = api.http.get(f"/forms/received/{lead['submissions'][0]['id']}").text
    assert not re.search(r"PHQ|GAD|severe|\b24\b(?!/7)", page.partition("<body>")[2])
