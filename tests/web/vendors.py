"""Form vendors as these tests have them: their sources, their payloads, and how they sign."""

import base64
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from httpx2 import Response

from followup.clinic import Clinic, read_clinic
from followup.clinic_sources import Proof, Vendor, check_secrets
from tests.web.caller import PUBLIC_URL, ROOT, Caller

SECRET, OLDER = "the-secret-of-this-week-and-month", "the-secret-of-the-week-before-this"
WHSEC = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()

SOURCES = """
[[sources]]
name = "typeform"
vendor = "typeform"
form = "screening"
[sources.fields]
name = "full_name"
phone = "phone"
"answers.tried_medication" = "history=Tried an antidepressant"
"answers.tried_talk_therapy" = "history=Tried talk therapy"
[sources.consent]
field = "sms_consent"
text_version = "2026-11"

[[sources]]
name = "jotform"
vendor = "jotform"
form = "contact"
consent = { field = "smsConsent", text_version = "2026-11" }

[[sources]]
name = "formspree"
vendor = "formspree"
form = "contact"

[[sources]]
name = "webflow"
vendor = "webflow"
form = "contact"

[[sources]]
name = "hubspot"
vendor = "hubspot"
form = "contact"
fields = { name = ["firstname", "lastname"] }

[[sources]]
name = "gravity-forms"
vendor = "gravity-forms"
form = "contact"
fields = { name = ["first_name", "1.3", "1.6"] }
consent = { field = "sms_consent", text_version = "2026-11" }

[[sources]]
name = "contact-form-7"
vendor = "contact-form-7"
form = "contact"
consent = { field = "acceptance-sms", text_version = "2026-11" }

[[sources]]
name = "opnform"
vendor = "opnform"
form = "contact"

[[sources]]
name = "standard"
vendor = "standard"
form = "contact"

[[sources]]
name = "generic"
vendor = "generic"
form = "contact"
id = "ticket"
"""
ANA = {"name": "Ana Ruiz", "email": "ana@example.org", "phone": "(949) 555-0199"}

#: As the vendors publish them; the values are ours.
PAYLOADS: Mapping[Vendor, Any] = {
    Vendor.typeform: {
        "event_id": "01HZX0",
        "event_type": "form_response",
        "form_response": {
            "form_id": "LoS61w",
            "token": "01HZX0",
            "landed_at": "2026-11-23T17:04:10Z",
            "submitted_at": "2026-11-23T17:05:00Z",
            "hidden": {"utm_source": "site"},
            "calculated": {"score": 0},
            "definition": {
                "id": "LoS61w",
                "title": "TMS self-check",
                "fields": [{"id": "a1", "ref": "full_name", "type": "short_text", "title": "Name"}],
            },
            "answers": [
                {
                    "type": "text",
                    "text": "Ana Ruiz",
                    "field": {"id": "a1", "type": "short_text", "ref": "full_name"},
                },
                {
                    "type": "phone_number",
                    "phone_number": "+19495550199",
                    "field": {"id": "a2", "type": "phone_number", "ref": "phone"},
                },
                {
                    "type": "email",
                    "email": "ana@example.org",
                    "field": {"id": "a3", "type": "email", "ref": "email"},
                },
                {
                    "type": "boolean",
                    "boolean": True,
                    "field": {"id": "a4", "type": "yes_no", "ref": "sms_consent"},
                },
                {
                    "type": "choice",
                    "choice": {"label": "Evenings"},
                    "field": {"id": "a5", "type": "multiple_choice", "ref": "when"},
                },
                {
                    "type": "choices",
                    "choices": {"labels": ["Tried an antidepressant", "Tried talk therapy"]},
                    "field": {"id": "a6", "type": "multiple_choice", "ref": "history"},
                },
            ],
        },
    },
    Vendor.jotform: {
        "formID": "241032303097344",
        "submissionID": "5800000000000000001",
        "formTitle": "Contact",
        "ip": "203.0.113.9",
        "pretty": "Full Name:Ana Ruiz",
        "rawRequest": json.dumps(
            {
                "slug": "submit/241032303097344",
                "q3_fullName3": {"first": "Ana", "last": "Ruiz"},
                "q6_email6": "ana@example.org",
                "q7_phone": {"full": "(949) 555-0199"},
                "q9_smsConsent": ["I agree"],
                "event_id": "1700000000000_241032303097344",
            }
        ),
    },
    Vendor.formspree: {
        "form": "xyzabcde",
        "submission": {"email": "ana@example.org", "_date": "2026-11-23T17:05:00Z"},
    },
    Vendor.webflow: {
        "triggerType": "form_submission",
        "payload": {
            "name": "Contact",
            "siteId": "65f0",
            "data": {
                "First Name": "Ana",
                "Phone": "949-555-0199",
                "email": "ana@example.org",
            },
            "submittedAt": "2026-11-23T17:05:00.000Z",
            "id": "6a1b",
        },
    },
    Vendor.hubspot: {
        "vid": 123,
        "properties": {
            "firstname": {"value": "Ana"},
            "lastname": {"value": "Ruiz"},
            "email": {"value": "ana@example.org"},
            "phone": {"value": "949 555 0199"},
        },
    },
    Vendor.gravity_forms: {
        "entry_id": "812",
        "first_name": "Ana",
        "phone": "(949) 555-0199",
        "sms_consent": "1",
    },
    Vendor.contact_form_7: {
        "your-name": "Ana Ruiz",
        "your-email": "ana@example.org",
        "your-tel": "949 555 0199",
        "acceptance-sms": "1",
    },
    Vendor.opnform: {
        "form_title": "Contact",
        "submission": {"Name": "Ana Ruiz", "Email": "ana@example.org"},
    },
    Vendor.standard: {
        "type": "form.submitted",
        "timestamp": "2026-11-23T17:04:59Z",
        "data": ANA,
    },
    Vendor.generic: {**ANA, "ticket": "t-1"},
}
EVENT = {
    "eventId": 1,
    "subscriptionId": 12345,
    "portalId": 62515,
    "occurredAt": 1564113600000,
    "subscriptionType": "contact.creation",
    "attemptNumber": 0,
    "objectId": 123,
    "changeSource": "CRM",
    "changeFlag": "NEW",
    "appId": 54321,
}


def clinic_with(folder: Path, sources: str = SOURCES) -> Clinic:
    text = (ROOT / "clinic.toml").read_text(encoding="utf-8")
    path = folder / "clinic.toml"
    path.write_text(f"{text}\n{sources}", encoding="utf-8")
    return read_clinic(path)


def with_sources(api: Caller, clinic: Clinic) -> Caller:
    """The same service, with these sources and their secrets."""
    secrets = {
        source.name: WHSEC if source.vendor is Vendor.standard else f"{SECRET},{OLDER}"
        for source in clinic.sources
    }
    settings = api.service.settings.model_validate(
        {
            **api.service.settings.model_dump(),
            "form_secrets": "; ".join(f"{name}={those}" for name, those in secrets.items()),
        }
    )
    check_secrets(clinic.sources, settings.form_secrets, "FORM_SECRETS")
    planner = replace(api.service.planner, clinic=clinic)
    api.service = replace(api.service, clinic=clinic, planner=planner, settings=settings)
    api.http.app.state.service = api.service  # type: ignore[attr-defined]
    return api


def hexadecimal(secret: str, signed: bytes) -> str:
    return hmac.new(secret.encode(), signed, sha256).hexdigest()


def in_base64(secret: bytes, signed: bytes) -> str:
    return base64.b64encode(hmac.new(secret, signed, sha256).digest()).decode()


def sign(
    vendor: Vendor, body: bytes, *, secret: str = SECRET, at: float, path: str = ""
) -> dict[str, str]:
    """The headers by which the vendor proves a post."""
    seconds, thousandths = str(int(at)), str(int(at * 1000))
    match vendor:
        case Vendor.typeform:
            return {"Typeform-Signature": f"sha256={in_base64(secret.encode(), body)}"}
        case Vendor.formspree:
            digits = hexadecimal(secret, f"{seconds}.".encode() + body)
            return {"Formspree-Signature": f"t={seconds},v1={digits}"}
        case Vendor.webflow:
            digits = hexadecimal(secret, f"{thousandths}:".encode() + body)
            return {"X-Webflow-Timestamp": thousandths, "X-Webflow-Signature": digits}
        case Vendor.hubspot:
            signed = f"POST{PUBLIC_URL}{path}".encode() + body + thousandths.encode()
            return {
                "X-HubSpot-Request-Timestamp": thousandths,
                "X-HubSpot-Signature-v3": in_base64(secret.encode(), signed),
            }
        case Vendor.opnform:
            return {"X-Webhook-Signature": f"sha256={hexadecimal(secret, body)}"}
        case Vendor.standard:
            key = base64.b64decode(WHSEC.removeprefix("whsec_"))
            signed = f"msg_1.{seconds}.".encode() + body
            wrong = "" if secret == SECRET else "x"
            return {
                "webhook-id": "msg_1",
                "webhook-timestamp": seconds,
                "webhook-signature": f"v1,{wrong}{in_base64(key, signed)}",
            }
        case Vendor.jotform:
            return {}
        case _:
            return {"Authorization": f"Bearer {secret}"}


def encode(vendor: Vendor, payload: Any) -> tuple[bytes, str]:
    if vendor is Vendor.jotform:
        return urlencode(payload).encode(), "application/x-www-form-urlencoded"
    return json.dumps(payload).encode(), "application/json"


def deliver(
    api: Caller,
    name: str,
    payload: Any,
    *,
    secret: str = SECRET,
    late: float = 0,
    spoil: Callable[[bytes], bytes] = lambda body: body,
    **headers: str,
) -> Response:
    """A vendor's post, signed as it signs, `late` by so many seconds."""
    source = api.service.clinic.find_source(name)
    assert source is not None
    body, kind = (
        (payload, "application/json")
        if isinstance(payload, bytes)
        else encode(source.vendor, payload)
    )
    path = f"/webhooks/forms/{name}"
    if source.proven_by is Proof.path:
        path += f"/{secret}"
    at = api.clock.at.timestamp() - late
    proof = sign(source.vendor, body, secret=secret, at=at, path=path)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return api.http.post(
        path, content=spoil(body), headers={"Content-Type": kind, **proof, **named}
    )
