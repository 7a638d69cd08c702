"""The pages' templates by themselves: words in each language, hostile input, what is never said."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from followup.clinic import Clinic, read_clinic
from followup.templates import clinic_facts, pages_environment

_ROOT = Path(__file__).parents[2]
_PAGES = pages_environment(_ROOT / "templates")
_ACT = {"reference": "K7Q4", "token_path": "/act/abc"}
_NOBODY = {"contacted_by": "", "contacted_at": ""}
_FRONT_DESK = {"contacted_by": "Front desk", "contacted_at": "Monday, November 23, 09:04 AM"}
_UNSUBSCRIBE = {"token_path": "/unsubscribe/abc"}
_RECEIVED = {"kind": "screening", "when": "today by 4:30 PM", "is_urgent": False}

Render = Callable[..., str]


@pytest.fixture(scope="module")
def clinic() -> Clinic:
    return read_clinic(_ROOT / "clinic.toml")


@pytest.fixture(scope="module")
def render(clinic: Clinic) -> Render:
    def render(name: str, language: str = "en", **facts: Any) -> str:
        public = clinic_facts(clinic, clinic.site(None)) | {
            "theme": clinic.theme,
            "in_frame": False,
        }
        return _PAGES.get_template(name).render({**public, "language": language, **facts})

    return render


@pytest.fixture(scope="module")
def render_form(clinic: Clinic, render: Render) -> Render:
    def render_form(
        kind: str = "contact",
        language: str = "en",
        typed: Mapping[str, Any] | None = None,
        problems: Mapping[str, str] | None = None,
    ) -> str:
        version, words = clinic.consent_text(kind, None, language)
        return render(
            "form.html",
            language,
            kind=kind,
            title=clinic.get_form(kind).title[language],
            sites=[{"id": site.id, "name": site.name} for site in clinic.sites],
            languages=list(clinic.languages),
            typed=typed or {},
            opening="a-signed-mark",
            turnstile_site_key=None,
            trouble=None,
            problems=problems or {},
            consent_version=version,
            consent_text=words,
            privacy_url=clinic.privacy_url,
            terms_url=clinic.terms_url,
        )

    return render_form


def _words(language: str) -> dict[str, Any]:
    module: Any = _PAGES.get_template(f"text.{language}.html").module
    words: dict[str, Any] = module.t
    return words


def _holes(words: object, path: str = "") -> Iterator[tuple[str, frozenset[str]]]:
    """Each text's place in the catalogue, with the names in braces that it has."""
    if isinstance(words, dict):
        for key, value in words.items():
            yield from _holes(value, f"{path}/{key}")
    else:
        yield path, frozenset(re.findall(r"{\w*}", str(words)))


def _said(html: str) -> str:
    """What the page says, without its stylesheet and tags."""
    body = html.partition("<body>")[2]
    return " ".join(re.sub(r"<[^>]+>", "", body).split())


def test_each_language_has_the_same_words_with_the_same_values_in_them() -> None:
    # The server words what is wrong in English; other languages have words of their own.
    english, spanish = (
        {place: holes for place, holes in _holes(_words(language)) if "/wrong/" not in place}
        for language in ("en", "es")
    )

    assert english == spanish


def test_every_labelled_field_has_its_spanish_error() -> None:
    words = _words("es")

    assert set(words["wrong"]) == set(words["labels"]) | {"consent_text_version"}


_PATIENT_PAGES: list[tuple[str, dict[str, Any]]] = [
    ("received.html", _RECEIVED | {"is_referrer": False}),
    ("received.html", _RECEIVED | {"is_referrer": True}),
    ("received.html", _RECEIVED | {"is_referrer": False, "is_urgent": True}),
    ("unsubscribe.html", _UNSUBSCRIBE | {"state": "ask"}),
    ("unsubscribe.html", _UNSUBSCRIBE | {"state": "done"}),
    ("unsubscribe.html", _UNSUBSCRIBE | {"state": "everything"}),
    ("trouble.html", {"trouble": "gone"}),
    ("trouble.html", {"trouble": "trouble"}),
]


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize(("name", "facts"), _PATIENT_PAGES)
def test_a_patient_reads_the_phone_and_988_and_nothing_clinical(
    render: Render, name: str, facts: dict[str, Any], language: str
) -> None:
    said = _said(render(name, language, **facts))

    assert "(949) 555-0100" in said
    assert "988" in said
    assert "911" in said
    forbidden = r"tms|ketamin|depress|depresi|therap|terapia|treat|tratam|immediat|inmediat|\blead"
    assert not re.findall(forbidden, said, re.IGNORECASE)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "en",
            "This inbox is not monitored around the clock. If you are in crisis or thinking about "
            "harming yourself, call or text 988 (24/7), or call 911.",
        ),
        (
            "es",
            "Este buzón no se atiende las 24 horas. Si está en crisis o piensa en hacerse daño, "
            "llame al 988 y oprima 2, envíe AYUDA al 988 (24/7), o llame al 911.",
        ),
    ],
)
@pytest.mark.parametrize("is_referrer", [False, True])
def test_the_crisis_words_stand_above_the_thanks(
    render: Render, language: str, words: str, is_referrer: bool
) -> None:
    html = render("received.html", language, is_referrer=is_referrer, **_RECEIVED)

    assert words in _said(html)
    assert html.index('href="tel:988"') < html.index('href="sms:988') < html.index("<h1>")
    assert html.index('href="tel:911"') < html.index("<h1>")
    assert "988lifeline.org" in html.partition("<h1>")[0]


@pytest.mark.parametrize("language", ["en", "es"])
def test_who_may_be_in_danger_reads_the_crisis_words_before_anything_else(
    render: Render, language: str
) -> None:
    facts = _RECEIVED | {"is_referrer": False, "is_urgent": True}

    html = render("received.html", language, **facts)

    words = _words(language)
    assert _said(html).startswith(words["crisis_urgent"])
    assert html.index('href="tel:988"') < html.index("<header")
    assert html.count('href="tel:988"') == 2, "as a button and in the sentence, and once each"


def test_a_referrer_reads_of_the_person_in_their_care(render: Render) -> None:
    said = _said(render("received.html", **_RECEIVED, is_referrer=True))

    assert "on behalf of someone in your care" in said
    assert "do not send records by email" in said


@pytest.mark.parametrize(
    ("state", "marked", "words"),
    [
        ("waiting", _NOBODY, "Mark K7Q4 contacted"),
        ("marked", _FRONT_DESK, "K7Q4 is marked contacted. No more reminders."),
        ("someone_else", _FRONT_DESK, "Marked by Front desk"),
        ("closed", _NOBODY, "There is nothing left to do for K7Q4."),
    ],
)
def test_staff_see_the_reference_and_what_became_of_it(
    render: Render, state: str, marked: dict[str, str], words: str
) -> None:
    html = render("act.html", state=state, **_ACT, **marked)

    assert words in _said(html)
    assert ('<form method="post" action="/act/abc">' in html) == (state == "waiting")


_MARKUP = '"><script>alert(1)</script>'


@pytest.mark.parametrize("kind", ["contact", "screening"])
@pytest.mark.parametrize(
    "value",
    [None, "", 7, True, 1.5, [], {}, _MARKUP, [_MARKUP], [{"a": [1]}], {"symptoms": {_MARKUP: 1}}],
    ids=repr,
)
def test_whatever_was_posted_the_form_renders_and_stays_a_form(
    render_form: Render, kind: str, value: object
) -> None:
    fields = [*_words("en")["labels"], "answers", "consent_sms", "consent_text_version", _MARKUP]
    typed = dict.fromkeys(fields, value)
    problems = dict.fromkeys([*fields, "answers.symptoms.3", ""], _MARKUP)

    for answers in (typed["answers"], dict.fromkeys(("struggles", "tried_medication"), value)):
        html = render_form(kind, typed=typed | {"answers": answers}, problems=problems)

        assert "<script" not in html
        assert html.count("<form") == 1


def test_what_was_chosen_is_kept(render_form: Render) -> None:
    answers = {"struggles": "ocd", "symptoms": ["low energy"], "tried_medication": "no"}

    html = render_form("screening", typed={"role": "referrer", "answers": answers})

    assert re.findall(r'value="([^"]+)" checked', html) == ["ocd", "low energy", "no", "referrer"]


@pytest.mark.parametrize(
    ("typed", "is_checked"),
    [
        ({}, False),
        ({"consent_sms": "yes", "consent_text_version": "2026-11"}, True),
        ({"consent_sms": "yes", "consent_text_version": "2020-01"}, False),
        ({"consent_sms": "yes"}, False),
        ({"consent_sms": "no", "consent_text_version": "2026-11"}, False),
    ],
    ids=["first", "same words", "other words", "unknown words", "no"],
)
def test_a_tick_is_kept_only_beside_the_words_it_was_given_for(
    render_form: Render, typed: dict[str, str], is_checked: bool
) -> None:
    html = render_form(typed=typed)

    assert ('name="consent_sms" value="yes" checked' in html) == is_checked


@pytest.mark.parametrize(
    ("field", "problem", "sentence"),
    [
        ("name", "is required", "Your name is required."),
        ("name", "must not be empty", "Your name must not be empty."),
        (
            "phone",
            "give a phone number or an email address",
            "Give a phone number or an email address.",
        ),
        (
            "answers.tried_medication",
            "must be yes or no",
            "Have you tried medication for this? Must be yes or no.",
        ),
        ("source_url", "must be short", "Something in this form did not reach us whole."),
    ],
)
def test_the_server_s_words_become_a_sentence(
    render_form: Render, field: str, problem: str, sentence: str
) -> None:
    html = render_form("screening", problems={field: problem})

    assert sentence in _said(html)


def test_a_spanish_form_shows_no_english_error(render_form: Render) -> None:
    html = render_form(language="es", problems={"name": "is required", "odd": "must be short"})

    assert "is required" not in html
    assert "must be" not in html
    assert html.count("Escriba su nombre, en una sola línea.") == 2
