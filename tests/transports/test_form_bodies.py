"""Shapes of vendors' posts beside those of their published examples (tests/web/vendors.py)."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from followup.clinic_sources import Source, Vendor
from followup.domain.foreign import Translated, translate
from followup.domain.submission import Kind
from followup.transports.form_bodies import Unreadable, key_of, read


def source(vendor: Vendor, **more: Any) -> Source:
    return Source.model_validate({"name": "site", "vendor": vendor, "form": Kind.contact, **more})


def understood(vendor: Vendor, document: Mapping[str, Any]) -> Translated:
    found = source(vendor)
    delivered = read(found, document)
    return translate(found.form, delivered.given, found.rules, document=delivered.document)


JOTFORM: dict[str, dict[str, Any]] = {
    "q and number": {"q3_fullName": {"first": "Ana", "last": "Ruiz"}, "q6_email": "a@example.org"},
    "bare names": {"fullName": {"first": "Ana", "last": "Ruiz"}, "email": "a@example.org"},
    "numbers with answers": {
        "3": {"name": "fullName", "text": "Name", "answer": {"first": "Ana", "last": "Ruiz"}},
        "6": {"name": "email", "text": "E-mail", "answer": "a@example.org"},
    },
}


@pytest.mark.parametrize("answers", JOTFORM.values(), ids=JOTFORM)
def test_each_way_in_which_jotform_names_its_fields_is_read(answers: dict[str, Any]) -> None:
    payload = understood(Vendor.jotform, {"rawRequest": json.dumps(answers)}).payload

    assert (payload["name"], payload["email"]) == ("Ana Ruiz", "a@example.org")


TYPEFORM: dict[str, tuple[str, Any, Any]] = {
    "number": ("number", 38, 38),
    "date": ("date", "2026-11-23", "2026-11-23"),
    "url": ("url", "https://example.org", "https://example.org"),
    "a file": ("file_url", "https://api.example.org/f", "https://api.example.org/f"),
    "no of two": ("boolean", False, False),
    "a payment": ("payment", {"amount": "1", "last4": "1234"}, {"amount": "1", "last4": "1234"}),
    "other": ("choice", {"other": "At noon"}, "At noon"),
    "some and other": (
        "choices",
        {"labels": ["Mornings"], "other": "At noon"},
        ["Mornings", "At noon"],
    ),
}


@pytest.mark.parametrize(("kind", "value", "kept"), TYPEFORM.values(), ids=TYPEFORM)
def test_an_answer_of_any_type_of_typeforms_is_kept_by_its_question(
    kind: str, value: Any, kept: Any
) -> None:
    definition = {"fields": [{"id": "a2", "title": "When?"}, {"id": "a1", "title": "Email"}]}
    email = {"type": "email", "email": "a@example.org", "field": {"id": "a1", "ref": "r1"}}
    asked = {"type": kind, kind: value, "field": {"id": "a2", "ref": "r2"}}
    response = {"definition": definition, "answers": [asked, email]}

    payload = understood(Vendor.typeform, {"form_response": response}).payload

    assert payload["email"] == "a@example.org"
    assert payload["When?"] == kept


@pytest.mark.parametrize(
    ("vendor", "document"),
    [
        pytest.param(
            Vendor.opnform,
            {
                "data": {
                    "f1": {"name": "Name", "value": "Bo"},
                    "f2": {"name": "Email", "value": "b"},
                }
            },
            id="opnform with names",
        ),
        pytest.param(Vendor.hubspot, {"name": "Bo", "email": "b"}, id="hubspot, flat"),
        pytest.param(
            Vendor.hubspot, {"properties": {"name": "Bo", "email": "b"}}, id="hubspot, plain values"
        ),
        pytest.param(
            Vendor.generic, {"type": "t", "data": {"name": "Bo", "email": "b"}}, id="event"
        ),
    ],
)
def test_fields_are_found_wherever_the_vendor_puts_them(
    vendor: Vendor, document: dict[str, Any]
) -> None:
    given = {one.label.lower(): one.value for one in read(source(vendor), document).given}

    assert (given["name"], given["email"]) == ("Bo", "b")


@pytest.mark.parametrize(
    ("vendor", "document", "key"),
    [
        (Vendor.typeform, {"event_id": "e", "form_response": {"token": "t"}}, "e"),
        (Vendor.typeform, {"form_response": {"token": "t"}}, "t"),
        (Vendor.gravity_forms, {"id": 812}, "812"),
        (Vendor.hubspot, {"eventId": 1, "subscriptionId": 2}, "1:2"),
        (Vendor.hubspot, {"eventId": 1}, None),
        (Vendor.webflow, {"payload": {"id": " "}}, None),
        (Vendor.formspree, {"submission": {}}, None),
    ],
)
def test_what_a_vendor_tells_its_submissions_apart_by(
    vendor: Vendor, document: dict[str, Any], key: str | None
) -> None:
    assert key_of(source(vendor), document) == key


def test_a_field_of_the_clinics_own_goes_before_that() -> None:
    own = source(Vendor.formspree, id="entry")

    assert key_of(own, {"submission": {"entry": "812", "email": "a@example.org"}}) == "812"


def test_what_is_no_such_post_says_so_in_words_for_staff() -> None:
    with pytest.raises(Unreadable, match="submission is missing"):
        read(source(Vendor.formspree), {"form": "x"})
