"""What a wording may know, where it may say it, and how a value is made harmless.

Values are data: the form's words never decide how a message looks or where it goes.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from followup.clinic import Clinic, Site, readable_phone
from followup.domain.cadence import Channel
from followup.domain.sms import count_segments, is_gsm7
from followup.domain.submission import Answers
from followup.templates.words import NO_NAMES, find_words


class Place(StrEnum):
    """Where a value can end up; who sees it differs."""

    #: Shown on a patient's locked screen, unencrypted.
    sms = "text to a patient"
    #: Shown in a patient's notifications, and kept by mail servers' logs.
    subject = "mail subject to a patient"
    body = "mail body to a patient"
    staff = "message to staff"
    alarm = "message to staff about the service"


class Exposure(StrEnum):
    """How much a value tells about the person, and so where it may stand."""

    public = "public"
    #: Who the person is, and how to reach them.
    contact = "contact"
    #: What they said, ask for, or suffer from.
    clinical = "clinical"


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


_EVERYWHERE = frozenset(Place)
_PATIENT = frozenset({Place.sms, Place.subject, Place.body})
_STAFF = frozenset({Place.staff})
_ALARM = frozenset({Place.alarm})

#: Minimum necessary (45 CFR 164.502(b)), and limits for mail that is not encrypted (HHS FAQ 570):
#: staff alerts hold nothing about the person, subjects neither, and no message at all an answer, a
#: score, a treatment or the person's own words.
MAY_STAND: Mapping[Exposure, frozenset[Place]] = {
    Exposure.public: _EVERYWHERE,
    Exposure.contact: frozenset({Place.sms, Place.body}),
    Exposure.clinical: frozenset(),
}


@dataclass(frozen=True)
class Variable:
    """`only` are the places where it makes sense, of those where its exposure lets it stand."""

    meaning: str
    only: frozenset[Place] = _EVERYWHERE
    exposure: Exposure = Exposure.public

    @property
    def places(self) -> frozenset[Place]:
        return MAY_STAND[self.exposure] & self.only


VARIABLES: Mapping[str, Variable] = {
    "sender_label": Variable("the clinic's discreet name"),
    "clinic_name": Variable(
        "the clinic's full name", frozenset({Place.body, Place.staff, Place.alarm})
    ),
    "clinic_phone": Variable("the number to call, as people read it: (949) 555-0100"),
    "clinic_phone_e164": Variable("the same for tel: links: +19495550100"),
    "clinic_email": Variable("the mailbox that people read"),
    "clinic_address": Variable("the postal address"),
    "website": Variable("the clinic's website"),
    "site_name": Variable("the lead's site"),
    "messages_per_request": Variable("most texts that one request leads to"),
    "language": Variable("of this message: en"),
    "when": Variable('by when a person will call: "today by 4:30 PM PST"', _PATIENT),
    "first_name": Variable(
        "for a greeting, or empty when the name cannot be used in one",
        exposure=Exposure.contact,
    ),
    "unsubscribe_url": Variable("ends mail reminders", frozenset({Place.body}), Exposure.contact),
    "reference": Variable("the lead's code for speech: K7Q4", _STAFF),
    "waiting": Variable('for how long the lead has waited: "15 minutes"', _STAFF),
    "occurrence": Variable("the reminder's number, from 1", _STAFF),
    "link": Variable("the page that marks the lead contacted", _STAFF),
    "who": Variable("who of the staff was first", _STAFF),
    "at": Variable('when that was, or until when it rests: "today 4:30 PM"', _STAFF),
    "in_flight": Variable("how many of our messages may still arrive", _STAFF),
    "waiting_leads": Variable("how many wait for a call at the site", _ALARM),
    "overdue_leads": Variable("how many of them longer than was promised", _ALARM),
    "references": Variable("who waits, by reference, at most twenty: K7Q4, M3P9", _ALARM),
    "more_leads": Variable("how many wait besides those", _ALARM),
    "board": Variable("the staff's page that shows them", _ALARM),
    "day": Variable("the day of that, or the first of the week: Monday, November 16", _ALARM),
    "new_leads": Variable("how many came in that week", _ALARM),
    "contacted_leads": Variable("how many were contacted in it", _ALARM),
    "kept_promises": Variable("how many of these in the time that was promised", _ALARM),
    "median_wait": Variable("within which half of these were contacted: 40 minutes", _ALARM),
    "alarm": Variable("what is wrong with the service, in a sentence", _ALARM),
}

#: What a form holds beside who wrote it, and what is made of that.
_CLINICAL = frozenset(Answers.model_fields) | _words(
    "answer answers message free_text interest treatment treatments provider referrer score scores "
    "band phq gad diagnosis condition symptom priority urgent risk"
)
_CONTACT = _words(
    "name last_name full_name patient patient_name email phone phone_number address location "
    "preferred_channel"
)


def exposure_of(name: str) -> Exposure | None:
    """What a variable of that name would tell, whether or not there is one; None when unknown."""
    if name in VARIABLES:
        return VARIABLES[name].exposure
    if name in _CLINICAL:
        return Exposure.clinical
    return Exposure.contact if name in _CONTACT else None


def clinic_facts(clinic: Clinic, site: Site) -> dict[str, object]:
    """The facts that are the clinic's own; the lead's are the sender's to add."""
    phone = site.phone or clinic.phone
    return {
        "sender_label": clinic.sender_label,
        "clinic_name": clinic.name,
        "clinic_phone": readable_phone(phone),
        "clinic_phone_e164": phone,
        "clinic_email": clinic.email,
        "clinic_address": clinic.postal_address,
        "website": clinic.website,
        "site_name": site.name,
        "messages_per_request": clinic.messages_per_request,
    }


def harmless(facts: Mapping[str, object], channel: Channel) -> dict[str, object]:
    """The facts as single lines without control characters, the name fit for a greeting.

    For a text they are also spelled in GSM-7 where that only costs accents: one other character
    halves what fits in a segment.
    """
    clean = {name: _one_line(value) for name, value in facts.items()}
    clean["first_name"] = greeting_name(str(facts.get("first_name") or ""))
    if channel is Channel.sms:
        clean = {name: in_gsm7(v) if isinstance(v, str) else v for name, v in clean.items()}
        if not is_gsm7(str(clean["first_name"])):
            clean["first_name"] = ""
    return clean


#: Longer ones are sentences, not names.
_LONGEST_NAME = 40
_TITLES = frozenset(
    (
        "dr",
        "dra",
        "prof",
        "mr",
        "mrs",
        "ms",
        "mx",
        "miss",
        "sr",
        "sra",
        "srta",
        "doña",
        "rev",
        "sir",
    )
)


def greeting_name(name: str) -> str:
    """The first name out of what was typed in the form, or "" where greeting by it would go wrong.

    Only letters, their marks, apostrophes and hyphens: so no link, number, markup or emoji can
    ride on our letterhead to somebody else's mailbox. Titles and initials are not first names, nor
    are words that no message may hold: whoever types one is still answered.
    """
    first = (name.split() or [""])[0].replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    spelled = first and unicodedata.category(first[0])[0] == "L"
    plain = all(char in "'-" or unicodedata.category(char)[0] in "LM" for char in first)
    usable = spelled and plain and len(first) <= _LONGEST_NAME
    if usable and any(find_words(NO_NAMES, first)):
        return ""
    return first if usable and first.casefold() not in _TITLES else ""


#: Control characters, and the marks that turn the direction of what follows.
_HIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


def _one_line(value: object) -> object:
    if not isinstance(value, str):
        return value
    # Nothing hidden can be printed, and most values can.
    return " ".join((value if value.isprintable() else _HIDDEN.sub(" ", value)).split())


_GSM7_SPELLING = str.maketrans(
    {
        "\N{LEFT SINGLE QUOTATION MARK}": "'",
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        "\N{LEFT DOUBLE QUOTATION MARK}": '"',
        "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
        "\N{EN DASH}": "-",
        "\N{EM DASH}": "-",
        "\N{HORIZONTAL ELLIPSIS}": "...",
    }
)


def in_gsm7(value: str) -> str:
    """The same words in letters that cost nothing more, where there are such."""
    if is_gsm7(value):
        return value
    value = value.translate(_GSM7_SPELLING)
    for char in count_segments(value).forces_ucs2:
        value = value.replace(char, _without_marks(char))
    return value


def _without_marks(char: str) -> str:
    apart = unicodedata.normalize("NFKD", char)
    return "".join(part for part in apart if not unicodedata.combining(part)) or char
