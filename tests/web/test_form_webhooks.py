"""What form vendors post: believed by their proof, kept once, mapped, and never dropped."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from followup.clinic import Clinic
from followup.clinic_limits import Limits
from followup.clinic_sources import Proof, Vendor
from followup.services import intake
from followup.store.db import reading
from followup.store.models import Lead, Submission
from followup.web.edge import VENDOR_LIMIT
from tests.waiting import eventually
from tests.web.caller import Caller, faults
from tests.web.vendors import (
    ANA,
    EVENT,
    OLDER,
    PAYLOADS,
    SECRET,
    clinic_with,
    deliver,
    with_sources,
)

FORMS = "/webhooks/forms"
UNSIGNED = """
[[sources]]
name = "site"
vendor = "generic"
form = "contact"
proof = "path"

[[sources]]
name = "server"
vendor = "generic"
form = "contact"
"""


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Clinic:
    return clinic_with(tmp_path_factory.mktemp("clinic"))


@pytest.fixture
def vendors(api: Caller, clinic: Clinic) -> Caller:
    return with_sources(api, clinic)


def kept(api: Caller) -> list[Submission]:
    with reading(api.service.engine) as session:
        return list(session.scalars(select(Submission).order_by(Submission.id)))


def leads(api: Caller) -> list[Lead]:
    api.consume()
    with reading(api.service.engine) as session:
        return list(session.scalars(select(Lead).order_by(Lead.id)))


#: What each published payload is in our words; what has no word of ours is under its own.
READ: dict[Vendor, dict[str, Any]] = {
    Vendor.typeform: {
        "name": "Ana Ruiz",
        "email": "ana@example.org",
        "phone": "+19495550199",
        "consent_sms": True,
        "consent_text_version": "2026-11",
        "answers": {"tried_medication": True, "tried_talk_therapy": True},
        "when": "Evenings",
        "history": ["Tried an antidepressant", "Tried talk therapy"],
        "utm_source": "site",
        "score": 0,
    },
    Vendor.jotform: ANA
    | {
        "consent_sms": True,
        "consent_sms (as sent)": ["I agree"],
        "consent_text_version": "2026-11",
        "slug": "submit/241032303097344",
        "event_id": "1700000000000_241032303097344",
    },
    Vendor.formspree: {"name": "No name given", "email": "ana@example.org"},
    Vendor.webflow: {
        "name": "Ana",
        "email": "ana@example.org",
        "phone": "949-555-0199",
        "form": "Contact",
    },
    Vendor.hubspot: ANA | {"phone": "949 555 0199", "vid": 123},
    Vendor.gravity_forms: {
        "name": "Ana",
        "phone": "(949) 555-0199",
        "consent_sms": True,
        "consent_text_version": "2026-11",
        "entry_id": "812",
    },
    Vendor.contact_form_7: ANA
    | {"phone": "949 555 0199", "consent_sms": True, "consent_text_version": "2026-11"},
    Vendor.opnform: {
        "name": "Ana Ruiz",
        "email": "ana@example.org",
        "form_title": "Contact",
    },
    Vendor.standard: ANA | {"type": "form.submitted", "timestamp": "2026-11-23T17:04:59Z"},
    Vendor.generic: ANA | {"ticket": "t-1"},
}


@pytest.mark.parametrize("vendor", Vendor)
def test_a_published_payload_becomes_a_lead_once(vendors: Caller, vendor: Vendor) -> None:
    first = deliver(vendors, vendor, PAYLOADS[vendor])
    again = deliver(vendors, vendor, PAYLOADS[vendor])
    rotated = deliver(vendors, vendor, PAYLOADS[vendor], secret=OLDER)

    (submission,) = kept(vendors)
    assert first.status_code == 200, first.text
    assert first.json() == {"submission_id": str(submission.id), "status": "accepted"}
    assert (again.status_code, again.json()) == (200, first.json())
    if vendor is not Vendor.standard:
        assert (rotated.status_code, rotated.json()) == (200, first.json())
    assert submission.payload == READ[vendor]
    assert submission.source == vendor
    eventually(lambda: vendors.rings.count("intake") == 1)
    assert len(leads(vendors)) == 1


@pytest.mark.parametrize("vendor", Vendor)
def test_what_is_not_proven_is_refused_and_not_kept(vendors: Caller, vendor: Vendor) -> None:
    payload = PAYLOADS[vendor]
    source = vendors.service.clinic.find_source(vendor)
    assert source is not None
    refused = {
        "wrong": deliver(vendors, vendor, payload, secret="somebody-elses-secret-of-that-length"),
        "none": vendors.http.post(f"{FORMS}/{vendor}", json=payload),
    }
    if source.proven_by is Proof.signature:
        refused["truncated"] = deliver(vendors, vendor, payload, spoil=lambda body: body[:-1])
        refused["no text"] = deliver(vendors, vendor, payload, spoil=lambda _: b"\xff")
    if vendor in (Vendor.formspree, Vendor.webflow, Vendor.hubspot, Vendor.standard):
        refused["late"] = deliver(vendors, vendor, payload, late=301)
        refused["early"] = deliver(vendors, vendor, payload, late=-301)

    assert {name: one.status_code for name, one in refused.items()} == dict.fromkeys(refused, 401)
    assert all(faults(one) == {} for one in refused.values())
    assert kept(vendors) == []


@pytest.mark.parametrize("path", [f"{FORMS}/nobody", f"{FORMS}/nobody/{SECRET}"])
def test_a_source_that_nobody_declared_is_not_there(vendors: Caller, path: str) -> None:
    assert vendors.http.post(path, json=ANA).status_code == 404


def test_other_content_under_the_same_id_is_a_conflict_that_staff_see_once(
    vendors: Caller, dana: dict[str, str]
) -> None:
    deliver(vendors, "generic", PAYLOADS[Vendor.generic])
    other = {**PAYLOADS[Vendor.generic], "phone": "(949) 555-0198"}
    answers = [deliver(vendors, "generic", other) for _ in range(3)]

    assert [one.status_code for one in answers] == [409] * 3
    (shown,) = vendors.http.get("/admin/submissions/problems", headers=dana).json()["items"]
    assert shown["problem"].startswith("came before under the same id with other content")
    assert shown["source"] == "generic"
    assert shown["fields"] == {"received": other}

    # Whoever looks at it may let it in.
    assert len(leads(vendors)) == 1
    intake.replay(vendors.service.engine, vendors.clock.at, uuid.UUID(shown["id"]))
    (lead,) = leads(vendors)
    assert lead.phone == "+19495550198"


def test_an_id_is_of_its_source_and_nobody_takes_it_by_the_public_door(vendors: Caller) -> None:
    vendors.http.post("/submissions/contact", json=ANA, headers={"Idempotency-Key": "generic t-1"})
    assert deliver(vendors, "generic", PAYLOADS[Vendor.generic]).status_code == 200
    assert deliver(vendors, "standard", PAYLOADS[Vendor.standard]).status_code == 200
    assert len(kept(vendors)) == 3


def test_a_form_without_an_id_that_is_sent_again_days_later_is_another_request(
    vendors: Caller,
) -> None:
    payload = PAYLOADS[Vendor.contact_form_7]
    first = deliver(vendors, "contact-form-7", payload).json()
    for hours, is_same in ((20, True), (48, False)):
        vendors.clock.pass_by(timedelta(hours=hours))
        again = deliver(vendors, "contact-form-7", payload).json()
        assert (again == first) is is_same


def test_a_signed_post_that_somebody_caught_is_not_new_under_another_id(vendors: Caller) -> None:
    for name in (Vendor.typeform, Vendor.opnform):
        for number in range(3):
            deliver(vendors, name, PAYLOADS[name], Idempotency_Key=f"k{number}")
    assert len(kept(vendors)) == 2

    # Whoever has the key itself may give an id.
    mine = {"name": "Bo", "email": "bo@example.org"}
    statuses = [
        deliver(vendors, "contact-form-7", {**mine, "n": number}, Idempotency_Key="k").status_code
        for number in (1, 1, 2)
    ]
    assert statuses == [200, 200, 409]


UNMAPPED: dict[str, tuple[str, Any, str]] = {
    "no address": ("generic", {"name": "Ana", "shoe": "38"}, "give an email address"),
    "a bad address alone": ("generic", {"email": "ana at example"}, "email: expected"),
    "not an object": ("generic", [ANA], "neither a JSON object nor a form"),
    "not JSON": ("generic", b'{"name": "Ana', "neither a JSON object nor a form"),
    "not UTF-8": ("generic", b"\xff\xfe", "neither a JSON object nor a form"),
    "NaN": ("generic", b'{"email": NaN}', "neither a JSON object nor a form"),
    "without end": ("generic", b"[" * 50_000, "neither a JSON object nor a form"),
    "half a character": ("generic", b'{"shoe": "\\ud800"}', "give an email address"),
    "empty": ("generic", b"", "neither a JSON object nor a form"),
    "another event": ("webflow", {"triggerType": "site_publish"}, "not a form's submission"),
    "no answers": ("typeform", {"event_id": "1"}, "form_response is missing"),
    "rubbish inside": ("jotform", {"rawRequest": "{"}, "rawRequest is not valid JSON"),
    "nothing inside": ("jotform", {"submissionID": "1"}, "there is no rawRequest"),
    "a record": ("hubspot", EVENT, "an event of HubSpot's CRM"),
}


@pytest.mark.parametrize(("name", "payload", "problem"), UNMAPPED.values(), ids=UNMAPPED)
def test_what_cannot_be_mapped_is_kept_and_shown_to_staff(
    vendors: Caller, dana: dict[str, str], name: str, payload: Any, problem: str
) -> None:
    answer = deliver(vendors, name, payload)
    again = deliver(vendors, name, payload)

    assert answer.status_code == 200, answer.text
    assert (answer.json()["status"], again.json()) == ("kept", answer.json())
    assert problem in answer.json()["problem"]
    (shown,) = vendors.http.get("/admin/submissions/problems", headers=dana).json()["items"]
    assert problem in shown["problem"]
    if not isinstance(payload, bytes):
        assert shown["fields"] == {"received": payload}
    assert leads(vendors) == []
    assert "intake" not in vendors.rings


def test_events_of_hubspots_crm_are_kept_one_by_one_and_shown(
    vendors: Caller, dana: dict[str, str]
) -> None:
    events = [EVENT, EVENT | {"eventId": 2}]
    first = deliver(vendors, "hubspot", events)
    second = deliver(vendors, "hubspot", [one | {"attemptNumber": 1} for one in events])

    assert first.status_code == second.status_code == 200
    assert first.json() == second.json()
    assert [one["status"] for one in first.json()["submissions"]] == ["kept", "kept"]
    shown = vendors.http.get("/admin/submissions/problems", headers=dana).json()["items"]
    assert [one["fields"]["received"]["eventId"] for one in shown] == [1, 2]


def test_a_better_mapping_reads_what_was_kept(vendors: Caller, tmp_path: Path) -> None:
    """Whoever mends clinic.toml calls `followup replay`."""
    odd = {"Wie heißen Sie": "Ana Ruiz", "Wo erreichen wir Sie": {"mail": "ana@example.org"}}
    assert deliver(vendors, "generic", odd).json()["status"] == "kept"
    mended = clinic_with(
        tmp_path,
        UNSIGNED.replace('"server"', '"generic"')
        + 'fields = { name = "Wie heißen Sie", email = "$.Wo erreichen wir Sie.mail" }',
    )
    with_sources(vendors, mended)

    intake.replay(vendors.service.engine, vendors.clock.at)
    (lead,) = leads(vendors)

    assert (lead.name, lead.email) == ("Ana Ruiz", "ana@example.org")
    assert kept(vendors)[0].payload["Wo erreichen wir Sie"] == {"mail": "ana@example.org"}


CONSENTS: dict[str, tuple[Any, bool]] = {
    **{word: (word, True) for word in ("1", "on", "Yes", "I agree", "true", "Sí", "Acepto")},
    "one box": (["I agree"], True),
    **{word or "nothing": (word, False) for word in ("", "0", "No", "I do not agree", "maybe")},
    "no and yes": (["I agree", "No"], False),
    "a phone": ("(949) 555-0199", False),
    "absent": (None, False),
}


@pytest.mark.parametrize(("said", "is_given"), CONSENTS.values(), ids=CONSENTS)
def test_consent_is_an_affirmative_word_in_the_box_and_nothing_else(
    vendors: Caller, dana: dict[str, str], said: Any, is_given: bool
) -> None:
    payload = {**PAYLOADS[Vendor.contact_form_7], "acceptance-sms": said}
    deliver(vendors, "contact-form-7", payload)
    vendors.consume()

    lead = vendors.whole(dana, vendors.find(dana)["id"])

    (consent,) = lead["consents"]
    assert consent["given"] is is_given
    assert consent["text_version"] == "2026-11"
    sent = vendors.send_due()
    assert any(one.to == lead["phone"] for one in sent) is is_given


def test_a_field_that_is_called_like_our_consent_is_none(vendors: Caller) -> None:
    deliver(vendors, "generic", {**ANA, "consent_sms": True, "received": {"name": "x"}})

    (submission,) = kept(vendors)
    assert "consent_sms" not in submission.payload
    assert submission.payload["consent_sms (as sent)"] is True
    (lead,) = leads(vendors)
    assert lead.name == "Ana Ruiz"


def test_a_bad_phone_is_a_lead_without_texts(vendors: Caller) -> None:
    payload = {**ANA, "phone": "call my sister", "language": "Español", "x" * 300: "long"}
    assert deliver(vendors, "generic", payload).json()["status"] == "accepted"

    (lead,) = leads(vendors)
    assert (lead.phone, lead.email, lead.language) == (None, "ana@example.org", "es")
    assert kept(vendors)[0].payload["phone (as sent)"] == "call my sister"


@pytest.fixture
def unsigned(api: Caller, tmp_path: Path) -> Caller:
    return with_sources(api, clinic_with(tmp_path, UNSIGNED))


def test_what_nobody_signed_is_marked_and_never_merged(
    unsigned: Caller, dana: dict[str, str]
) -> None:
    deliver(unsigned, "server", ANA)
    unsigned.consume()
    deliver(unsigned, "site", {**ANA, "phone": "(949) 555-0198"})
    (first, second) = leads(unsigned)

    assert (first.phone, second.phone) == ("+19495550199", "+19495550198")
    assert second.possible_duplicate == first.reference
    shown = [unsigned.whole(dana, str(one.id))["submissions"][0] for one in (first, second)]
    assert [(one["source"], one["unsigned"]) for one in shown] == [
        ("server", False),
        ("site", True),
    ]


def test_nothing_is_merged_into_what_nobody_signed(unsigned: Caller) -> None:
    """Or a stranger's number would be called in somebody's name."""
    deliver(unsigned, "site", {**ANA, "phone": "(949) 555-0198"})
    deliver(unsigned, "server", {"name": "Ana Ruiz", "email": ANA["email"]})
    (strange, own) = leads(unsigned)

    assert (strange.phone, own.phone) == ("+19495550198", None)
    assert own.possible_duplicate == strange.reference


def test_a_number_from_an_unsigned_source_is_nobodys_consent(
    unsigned: Caller, dana: dict[str, str]
) -> None:
    forms = {
        kind: form.model_copy(update={"consent_by_number": frozenset({"site", "server"})})
        for kind, form in unsigned.service.clinic.forms.items()
    }
    with_sources(unsigned, unsigned.service.clinic.model_copy(update={"forms": forms}))
    deliver(unsigned, "server", ANA)
    deliver(unsigned, "site", {"name": "Bo", "phone": "(949) 555-0198"})

    by_name = {one.name: unsigned.whole(dana, str(one.id)) for one in leads(unsigned)}

    assert [one["act"] for one in by_name["Ana Ruiz"]["consents"]] == ["gave_number"]
    assert by_name["Bo"]["consents"] == []


def test_a_flood_from_one_source_is_held_and_closes_no_other(vendors: Caller) -> None:
    limits = Limits(per_service=3)
    for number in range(6):
        deliver(vendors, "opnform", {"submission": {"email": f"a{number}@gmail.com"}})
    deliver(vendors, "generic", PAYLOADS[Vendor.generic])
    vendors.consume(limits=limits)

    by_source = {one.source: one for one in kept(vendors)}
    with reading(vendors.service.engine) as session:
        held = session.scalars(select(Lead).where(Lead.status == "held")).all()
        other = session.get(Lead, by_source["generic"].lead_id)
        assert other is not None
        assert other.status == "open"
    assert len(held) == 3


def test_a_body_may_be_of_256_kib_and_of_any_kind_of_form(vendors: Caller) -> None:
    padded = {**ANA, "essay": "x" * (VENDOR_LIMIT - 500)}
    assert deliver(vendors, "generic", padded).status_code == 200
    assert deliver(vendors, "generic", {**padded, "more": "x" * 600}).status_code == 413
    url, bearer = f"{FORMS}/generic", {"Authorization": f"Bearer {SECRET}"}
    files = {"photo": ("face.jpg", b"\xff\xd8", "image/jpeg")}
    fields = {"your-name": "Bo", "email": "bo@example.org", "want[]": ["a", "b"]}
    answer = vendors.http.post(url, data=fields, files=files, headers=bearer)

    assert answer.json()["status"] == "accepted", answer.text
    assert kept(vendors)[-1].payload == {
        "name": "Bo",
        "email": "bo@example.org",
        "want": ["a", "b"],
        "photo": "face.jpg",
    }


def test_what_was_held_up_on_its_way_does_not_undo_what_is_newer(vendors: Caller) -> None:
    newer = {"_date": "2026-11-23T17:04:00Z", "phone": "(949) 555-0198"}
    older = {"_date": "2026-11-23T09:00:00Z", "phone": "(949) 555-0199"}
    for one in (newer, older):
        deliver(vendors, "formspree", {"submission": ANA | one})
        vendors.consume()

    (lead,) = leads(vendors)
    assert lead.phone == "+19495550198"


def test_nothing_personal_is_logged(vendors: Caller, logged: Callable[[], str]) -> None:
    deliver(vendors, "generic", PAYLOADS[Vendor.generic])
    deliver(vendors, "generic", {"email": "ana at example", "name": "Ana Ruiz"})
    deliver(vendors, "jotform", PAYLOADS[Vendor.jotform])
    deliver(vendors, "jotform", PAYLOADS[Vendor.jotform], secret="x" * 40)

    lines = logged()
    assert "a submission waits for staff" in lines
    for secret in (
        "Ana",
        "example.org",
        "at example",
        "5550199",
        "555-0199",
        "555 0199",
        SECRET,
        "xxxx",
    ):
        assert secret not in lines
