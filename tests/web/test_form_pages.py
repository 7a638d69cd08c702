"""The patients' pages over HTTP: languages that change in place, frames in the clinic's website,
its look, and what the confirmation promises."""

import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from followup.clinic_theme import Dark, Light, Logo, Theme
from followup.store import submissions
from followup.store.db import reading
from tests.web.caller import NOW, ROOT, Caller

FORM = {"name": "Alice Ng", "phone": "(415) 555-0101", "language": "en"}
BROWSER = {"Accept": "text/html,application/xhtml+xml"}
TICKED = {"consent_sms": "yes", "consent_text_version": "2026-11"}
LOS_ANGELES = ZoneInfo("America/Los_Angeles")


def themed(api: Caller, theme: Theme) -> None:
    clinic = api.service.clinic.model_copy(update={"theme": theme})
    state: Any = api.http.app.state  # type: ignore[attr-defined]
    state.service = replace(api.service, clinic=clinic)


def kept(api: Caller) -> dict[str, int]:
    with reading(api.service.engine) as session:
        return {str(status): n for status, n in submissions.count_by_status(session).items()}


# Languages.


def test_another_language_keeps_what_was_typed_and_looks_for_nothing_wrong(api: Caller) -> None:
    shown = api.http.get("/forms/screening").text
    opening = re.findall(r'name="opening" value="([^"]+)"', shown)
    typed = {
        "name": 'Al "Q" <b>',
        "phone": "12",
        "message": "Evenings.\nThanks.",
        "answers.struggles": ["ocd", "anxiety"],
        "answers.tried_medication": "no",
        "location": "manhattan-beach",
        "language": "en",
        "opening": opening[0],
    }
    page = api.http.post("/forms/screening?language=es", data=typed)

    assert page.status_code == 200
    assert '<html lang="es">' in page.text
    assert "problems" not in page.text.partition("<body>")[2]
    for words in (typed["name"], typed["phone"], typed["message"]):
        assert str(words) in unescape(page.text)
    assert re.findall(r'value="([\w-]+)" (?:checked|selected)', page.text) == [
        "ocd", "anxiety", "no", "manhattan-beach"
    ]  # fmt: skip
    assert re.findall(r'name="opening" value="([^"]+)"', page.text) == opening, "shown once"
    assert '<input type="hidden" name="language" value="es">' in page.text
    assert (kept(api), api.rings) == ({}, [])


@pytest.mark.parametrize(("language", "is_kept"), [("es", False), ("en", True)])
def test_a_tick_counts_for_the_words_of_its_language(
    api: Caller, language: str, is_kept: bool
) -> None:
    page = api.http.post(f"/forms/contact?language={language}", data={**FORM, **TICKED}).text

    assert ('name="consent_sms" value="yes" checked' in page) is is_kept
    assert ('id="consent_sms-hint"' in page) is not is_kept, "and is asked for again"


# Frames.


def scripts(page: str) -> list[str]:
    return re.findall(r"<script>(.*?)</script>", page, re.DOTALL)


def policy(answer: Any) -> dict[str, str]:
    said = answer.headers["content-security-policy"].split("; ")
    return dict(part.partition(" ")[::2] for part in said)


def test_only_a_page_in_a_frame_runs_a_script_and_only_the_one_that_is_in_it(api: Caller) -> None:
    whole = api.http.get("/forms/contact")
    framed = api.http.get("/forms/contact?framed=1")

    assert (scripts(whole.text), "script-src" in policy(whole)) == ([], False)
    (script,) = scripts(framed.text)
    digest = b64encode(sha256(script.encode()).digest()).decode()
    assert policy(framed)["script-src"] == f"'sha256-{digest}'"
    assert policy(framed)["default-src"] == "'none'"
    assert policy(framed)["frame-ancestors"] == "'self' https://www.example.com"
    assert "connect-src" not in policy(framed)
    assert '["https://www.example.com"]' in script, "it answers these alone"


def test_a_form_stays_in_its_frame_to_the_end(api: Caller) -> None:
    framed = api.http.get("/forms/contact?framed=1").text
    action = unescape(re.findall(r' action="([^"]+)"', framed)[0])
    switch = unescape(re.findall(r' formaction="([^"]+)"', framed)[0])
    pages = [
        api.http.post(switch, data=FORM),
        api.http.post(action, data={"name": "Alice"}, headers=BROWSER),
    ]
    sent = api.http.post(action, data=FORM, headers=BROWSER)
    pages.append(api.http.get(sent.headers["location"]))

    assert [page.status_code for page in pages] == [200, 422, 200]
    assert '<html lang="es">' in pages[0].text
    assert all(len(scripts(page.text)) == 1 for page in pages)
    assert "framed" not in str(api.http.get("/forms/contact").text.partition("<body")[2])


def test_the_script_for_the_clinics_pages_is_public_and_says_nothing_of_them(api: Caller) -> None:
    answer = api.http.get("/embed.js")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=3600"
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert "example" not in answer.text


def test_a_form_of_the_clinics_own_page_gets_the_mark_of_when_it_was_shown(api: Caller) -> None:
    asked = api.http.get("/forms", headers={"Origin": "https://www.example.com"})
    mark = asked.json()["opening"]
    opening = api.service.links.read_opening(mark, NOW)
    api.http.post("/submissions/contact", data={**FORM, "opening": mark}, headers=BROWSER)

    assert asked.headers["access-control-allow-origin"] == "https://www.example.com"
    assert opening is not None
    assert opening.opened_at == NOW
    assert kept(api) == {"spam": 1}, "nobody is as fast as that"


class Snippet(HTMLParser):
    """The forms and addresses of a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.action, self.addresses = "", list[str]()
        self.fields: dict[str, str] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.action = found.get("action", self.action)
        self.addresses += [found[name] for name in ("src", "href", "action") if name in found]
        if "name" in found:
            self.fields[found["name"]] = found.get("value", "")


def snippets() -> Iterator[Snippet]:
    text = (ROOT / "docs" / "embedding.md").read_text(encoding="utf-8")
    for html in re.findall(r"```html\n(.*?)```", text, re.DOTALL):
        yield Snippet(html)


def test_what_the_guide_tells_to_copy_works_as_it_stands(api: Caller) -> None:
    link, frame, form = snippets()
    ours = [
        address.removeprefix("https://followup.example.com")
        for address in (*link.addresses, *frame.addresses, *form.addresses)
        if address.startswith("https:") and "/submissions/" not in address
    ]
    typed = {**form.fields, "name": "Alice Ng", "email": "alice@example.com"}
    path = form.action.removeprefix("https://followup.example.com")
    sent = api.http.post(path, data=typed, headers=BROWSER)

    assert {api.http.get(address).status_code for address in ours} == {200}
    assert typed["topic_b"] == typed["opening"] == ""
    assert sent.status_code == 303
    assert kept(api) == {"accepted": 1}
    version, words = api.service.clinic.consent_text("contact", None, "en")
    assert form.fields["consent_text_version"] == version
    assert words in (ROOT / "docs" / "embedding.md").read_text(encoding="utf-8")


# The look.

LOGO = Logo("png", b"\x89PNG\r\n\x1a\n" + bytes(40))


def test_the_logo_is_ours_to_serve_and_known_by_its_content(api: Caller) -> None:
    themed(api, Theme.model_construct(name=None, logo=LOGO, light=None, dark=None))
    page = api.http.get("/forms/contact")
    path = re.findall(r'<img src="([^"]+)" alt="Harbor Light Wellness">', page.text)[0]
    logo = api.http.get(path)

    assert path == LOGO.path
    assert "'self'" in policy(page)["img-src"]
    assert (logo.status_code, logo.content) == (200, LOGO.content)
    assert logo.headers["content-type"] == "image/png"
    assert logo.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert api.http.get("/logo/another.png").status_code == 404


def test_the_clinics_colours_are_the_patients_pages_and_not_staffs(api: Caller) -> None:
    light = Light.model_validate({"accent": "#7a2e8e"})
    themed(api, Theme(name="Harbor & Light", light=light, dark=Dark()))
    page = api.http.get("/forms/contact").text
    staffs = api.http.get("/staff/sign-in").text

    assert "@media (prefers-color-scheme: light) { :root { --back: #" in page
    assert page.count("--accent: #7a2e8e;") == 1
    assert '<p class="clinic">Harbor &amp; Light</p>' in page
    assert "#7a2e8e" not in staffs
    assert "Harbor &amp; Light" not in staffs


@pytest.mark.parametrize("path", ["/forms/contact", "/forms/screening", "/embed.js"])
def test_a_page_is_light_for_a_slow_connection(api: Caller, path: str) -> None:
    """Half a second at 500 kbit/s, and nothing else is loaded."""
    answer = api.http.get(path)

    assert len(answer.content) < 32 * 1024
    assert not re.findall(r'(?:src|srcset)="|@import|url\(|<link rel="stylesheet', answer.text)


@pytest.mark.parametrize("kind", ["contact", "screening"])
@pytest.mark.parametrize(
    ("field", "attributes"),
    [
        ("name", {'type="text"', 'autocomplete="name"'}),
        ("phone", {'type="tel"', 'inputmode="tel"', 'autocomplete="tel"'}),
        ("email", {'type="email"', 'inputmode="email"', 'autocomplete="email"'}),
    ],
)
def test_a_phone_fills_a_field_in_or_shows_the_keys_for_it(
    api: Caller, kind: str, field: str, attributes: set[str]
) -> None:
    """WCAG 2.2, 1.3.5."""
    (found,) = re.findall(rf'<input id="{field}" ([^>]+)>', api.http.get(f"/forms/{kind}").text)

    assert attributes <= set(found.split())


# What happens next, and when.


@pytest.mark.parametrize(
    ("sent", "english", "spanish"),
    [
        pytest.param("2026-11-23 09:05", "today by 10:05 AM PST",
                     "hoy antes de las 10:05 AM PST", id="open"),
        pytest.param("2026-11-23 16:30", "tomorrow by 9:30 AM PST",
                     "mañana antes de las 9:30 AM PST", id="late in the day"),
        pytest.param("2026-11-23 06:00", "today by 10:00 AM PST",
                     "hoy antes de las 10:00 AM PST", id="early"),
        pytest.param("2026-11-20 18:00", "Monday by 10:00 AM PST",
                     "el lunes antes de las 10:00 AM PST", id="a weekend"),
        pytest.param("2026-11-22 23:59", "tomorrow by 10:00 AM PST",
                     "mañana antes de las 10:00 AM PST", id="Sunday night"),
        # Thanksgiving, and the day after it, which is a holiday in California.
        pytest.param("2026-11-25 17:00", "Monday by 10:00 AM PST",
                     "el lunes antes de las 10:00 AM PST", id="a holiday"),
        # Christmas Eve is the clinic's own; then Christmas, on a Friday.
        pytest.param("2026-12-23 16:45", "Monday by 9:45 AM PST",
                     "el lunes antes de las 9:45 AM PST", id="closed by the clinic"),
        pytest.param("2026-03-06 18:00", "Monday by 10:00 AM PDT",
                     "el lunes antes de las 10:00 AM PDT", id="the night of summer time"),
    ],
)  # fmt: skip
def test_the_confirmation_names_the_day_and_the_hour_of_the_call(
    api: Caller, sent: str, english: str, spanish: str
) -> None:
    api.clock.at = datetime.fromisoformat(sent).replace(tzinfo=LOS_ANGELES).astimezone(UTC)
    for language, words in (
        ("en", f"One of us will call you <strong>{english}</strong>."),
        ("es", f"le llamará <strong>{spanish}</strong>."),
    ):
        answer = api.http.post(
            "/submissions/contact", data={**FORM, "language": language}, headers=BROWSER
        )
        assert words in api.http.get(answer.headers["location"]).text


def test_the_hour_is_that_of_the_site_that_calls(api: Caller) -> None:
    clinic = api.service.clinic
    sites = [
        one.model_copy(update={"zone": ZoneInfo("America/New_York")})
        if one.id == "manhattan-beach"
        else one
        for one in clinic.sites
    ]
    state: Any = api.http.app.state  # type: ignore[attr-defined]
    state.service = replace(api.service, clinic=clinic.model_copy(update={"sites": tuple(sites)}))
    submission_id = api.submit(location="manhattan-beach")

    page = api.http.get(f"/forms/received/{submission_id}").text

    assert "today by 1:05 PM EST" in page
    assert "Manhattan Beach" in page


def test_a_confirmation_that_is_read_later_counts_from_when_it_was_sent(api: Caller) -> None:
    submission_id = api.submit()
    api.clock.pass_by(timedelta(days=1))

    page = api.http.get(f"/forms/received/{submission_id}").text

    assert "Monday, November 23 by 10:05 AM PST" in page
