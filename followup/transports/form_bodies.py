"""What the vendors' posts hold: their shapes, as far as they have published them.

A reader takes the body as JSON, or a form's fields, and says which submission it is and what was
answered. What it cannot read is `Unreadable`, whose words go to staff and hold nothing personal.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from followup.clinic_sources import Source, Vendor
from followup.domain.foreign import Given, as_text, find_path


class Unreadable(Exception):
    """Kept whole, and shown to staff with these words."""


@dataclass(frozen=True)
class Delivered:
    """One submission as a vendor delivers it."""

    #: Any JSON value, or a form's fields.
    document: Any
    given: tuple[Given, ...] = ()
    #: What the vendor tells its submissions apart by; None where it does not.
    key: str | None = None
    submitted_at: datetime | None = None
    #: The visitor's, where the vendor tells.
    address: str | None = None


def split(source: Source, document: Any) -> list[Any]:
    """The submissions of a post: HubSpot sends its events together."""
    is_batch = source.vendor is Vendor.hubspot and isinstance(document, list)
    return document if is_batch and document else [document]


def key_of(source: Source, document: Any) -> str | None:
    """What tells this submission from every other, also where the rest cannot be read."""
    if source.id is not None:
        named = (one.value for one in _given(source, document) if source.id in one.called)
        found = find_path(document, source.id)
        found = next(named, None) if found is None else found
        if _is_id(found):
            return str(found)
    for paths in _KEYS.get(source.vendor, ()):
        ids = [find_path(document, path) for path in paths]
        if all(map(_is_id, ids)):
            return ":".join(map(str, ids))
    return None


def same_again(source: Source, document: Any) -> Any:
    """The document without what changes when it is delivered once more."""
    if source.vendor is Vendor.hubspot and isinstance(document, Mapping):
        return {name: value for name, value in document.items() if name != "attemptNumber"}
    return document


def read(source: Source, document: Any) -> Delivered:
    """Raises Unreadable."""
    if not isinstance(document, Mapping):
        raise Unreadable("the body is neither a JSON object nor a form")
    return _READERS[source.vendor](document)


def _given(source: Source, document: Any) -> tuple[Given, ...]:
    try:
        return read(source, document).given
    except Unreadable:
        return ()


def _typeform(document: Mapping[str, Any]) -> Delivered:
    """typeform.com/developers/webhooks/example-payload. `type` names the key of an answer's value;
    questions are known by their `ref`, for their order and words change."""
    response = _object(document, "form_response")
    titles = {
        str(one.get("id")): one.get("title")
        for one in _objects(find_path(response, "definition.fields"))
    }
    given = []
    for answer in _objects(response.get("answers")):
        asked = answer.get("field")
        asked = asked if isinstance(asked, Mapping) else {}
        title = titles.get(str(asked.get("id")))
        names = tuple(str(asked[name]) for name in ("ref", "id") if asked.get(name))
        value = answer.get(str(answer.get("type")))
        label = title if isinstance(title, str) and title.strip() else "".join(names[:1]) or "?"
        given.append(Given(label, _chosen(value), names))
    for part in ("hidden", "calculated"):
        given += [Given(name, value) for name, value in _items(response.get(part))]
    for one in _objects(response.get("variables")):
        given.append(Given(str(one.get("key")), one.get(str(one.get("type")))))
    return Delivered(document, tuple(given), submitted_at=_instant(response.get("submitted_at")))


def _chosen(value: Any) -> Any:
    """A choice's label, or what was written beside "Other"."""
    if not isinstance(value, Mapping):
        return value
    if isinstance(value.get("labels"), list):
        return [*value["labels"], *([value["other"]] if value.get("other") else [])]
    return next((value[name] for name in ("label", "other") if value.get(name)), dict(value))


def _jotform(document: Mapping[str, Any]) -> Delivered:
    """A form whose field `rawRequest` is JSON. Its keys are `q3_name`, the bare name, or a number
    with an object; `pretty` says the same once more."""
    raw = document.get("rawRequest")
    try:
        answers = json.loads(raw) if isinstance(raw, str) else raw
    except (ValueError, RecursionError):
        raise Unreadable("rawRequest is not valid JSON") from None
    if not isinstance(answers, Mapping):
        raise Unreadable("there is no rawRequest with the answers")
    given = []
    for key, value in answers.items():
        number, _, name = key.removeprefix("q").partition("_")
        names = (key, name) if key.startswith("q") and number.isdigit() and name else (key,)
        label = names[-1]
        if isinstance(value, Mapping) and "answer" in value:
            label = str(value.get("text") or value.get("name") or label)
            names, value = (*names, str(value.get("name") or key)), value["answer"]
        given.append(Given(label, value, names))
    said = {"formID", "submissionID", "rawRequest", "pretty", "ip", "formTitle", "type", "username"}
    given += [Given(name, value) for name, value in document.items() if name not in said]
    address = document.get("ip")
    return Delivered(
        {**document, **answers}, tuple(given), address=address if isinstance(address, str) else None
    )


def _formspree(document: Mapping[str, Any]) -> Delivered:
    """`{form, submission: {…, _date}}`."""
    submission = _object(document, "submission")
    return Delivered(
        document, _flat(submission, but="_date"), submitted_at=_instant(submission.get("_date"))
    )


def _webflow(document: Mapping[str, Any]) -> Delivered:
    """developers.webflow.com/data/reference/webhooks/events/form-submission"""
    if document.get("triggerType") != "form_submission":
        raise Unreadable("this event of Webflow is not a form's submission")
    payload = _object(document, "payload")
    given = (*_flat(_object(payload, "data")), Given("form", payload.get("name")))
    return Delivered(document, given, submitted_at=_instant(payload.get("submittedAt")))


def _hubspot(document: Mapping[str, Any]) -> Delivered:
    """What a workflow's webhook sends: a contact's properties, flat or as `{value, …}`."""
    if "subscriptionType" in document or "subscriptionId" in document:
        raise Unreadable(
            "an event of HubSpot's CRM, which names an object and has no form's fields: look it up "
            "there, or let a workflow post the contact's properties"
        )
    properties = document.get("properties")
    rest = {name: value for name, value in document.items() if name != "properties"}
    given = [
        Given(name, value["value"] if isinstance(value, Mapping) and "value" in value else value)
        for name, value in _items(properties)
    ]
    return Delivered(document, (*given, *_flat(rest if given else document)))


def _opnform(document: Mapping[str, Any]) -> Delivered:
    """Answers by their question: in `submission`, or in `data` with a name and a value each."""
    given = [
        Given(str(one["name"]), one.get("value"), (key,))
        if isinstance(one, Mapping) and one.get("name")
        else Given(key, one)
        for key, one in _items(document.get("data") or document.get("submission"))
    ]
    rest = {name: value for name, value in document.items() if name not in ("data", "submission")}
    return Delivered(document, (*given, *_flat(rest)))


def _flat_map(document: Mapping[str, Any]) -> Delivered:
    """Gravity Forms (docs.gravityforms.com/webhooks-add-on), Contact Form 7's plugins, and whoever
    posts a field by its name; an event's `data` holds its fields."""
    data = document.get("data")
    if isinstance(data, Mapping) and isinstance(document.get("type"), str):
        rest = {name: value for name, value in document.items() if name != "data"}
        return Delivered(
            document, (*_flat(data), *_flat(rest)), submitted_at=_instant(document.get("timestamp"))
        )
    return Delivered(document, _flat(document))


_READERS: Mapping[Vendor, Callable[[Mapping[str, Any]], Delivered]] = {
    Vendor.typeform: _typeform,
    Vendor.jotform: _jotform,
    Vendor.formspree: _formspree,
    Vendor.webflow: _webflow,
    Vendor.hubspot: _hubspot,
    Vendor.gravity_forms: _flat_map,
    Vendor.contact_form_7: _flat_map,
    Vendor.opnform: _opnform,
    Vendor.standard: _flat_map,
    Vendor.generic: _flat_map,
}
#: The first of these that is all there.
_KEYS: Mapping[Vendor, tuple[tuple[str, ...], ...]] = {
    Vendor.typeform: (("event_id",), ("form_response.token",)),
    Vendor.jotform: (("submissionID",),),
    Vendor.webflow: (("payload.id",),),
    Vendor.hubspot: (("eventId", "subscriptionId"),),
    Vendor.gravity_forms: (("entry_id",), ("id",)),
    Vendor.opnform: (("submission_id",),),
}


def _is_id(value: object) -> bool:
    return isinstance(value, int) or (isinstance(value, str) and value.strip() != "")


def _object(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = document.get(name)
    if not isinstance(found, Mapping):
        raise Unreadable(f"{name} is missing")
    return found


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    for one in value if isinstance(value, list) else []:
        if isinstance(one, Mapping):
            yield one


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    yield from value.items() if isinstance(value, Mapping) else ()


def _flat(fields: Mapping[str, Any], but: str | None = None) -> tuple[Given, ...]:
    return tuple(Given(name, value) for name, value in fields.items() if name != but)


def _instant(value: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(as_text(value))
    except ValueError:
        return None
    # What no calendar of ours can count is no time that anybody sent a form.
    is_usual = 2000 <= at.year < 2200
    return (at if at.tzinfo else at.replace(tzinfo=UTC)) if is_usual else None
