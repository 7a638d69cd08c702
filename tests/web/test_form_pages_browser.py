"""The pages in a real browser, on a phone without JavaScript, against the real application."""

import re
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Locator,
    Page,
    expect,
)

from followup.clinic_limits import Embedding
from followup.domain.cadence import Audience
from followup.services import intake
from followup.store import deliveries, submissions
from followup.store.db import reading
from tests.waiting import eventually
from tests.web.browsing import NOW, PHONE, Running, Site, browser, running, site, tab_to

__all__ = ["browser", "running", "site"]


@pytest.fixture
def context(browser: Browser, site: Site) -> Iterator[BrowserContext]:
    """A phone without JavaScript. Ends the test with a failure if it asked anybody but the site."""
    context = browser.new_context(base_url=site.url, viewport=PHONE, java_script_enabled=False)
    context.set_default_timeout(10_000)
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))

    yield context

    context.close()
    assert {urlsplit(url).netloc for url in asked} <= {urlsplit(site.url).netloc}


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


def _fill(page: Page, **fields: str) -> None:
    for name, text in fields.items():
        page.locator(f"#{name}").fill(text)


def _send(page: Page) -> None:
    page.locator("main button[type=submit]").click()


def _received_id(page: Page) -> uuid.UUID:
    return uuid.UUID(urlsplit(page.url).path.removeprefix("/forms/received/"))


def test_the_contact_form_is_filled_in_and_sent_by_keyboard_alone(site: Site, page: Page) -> None:
    page.goto("/forms/contact")
    tab_to(page, "#role")
    page.keyboard.press("Space")
    for selector, text in (
        ("#name", "Alicia Nuñez"),
        ("#phone", "(415) 555-0101"),
        ("#email", "alicia@example.com"),
        ("#message", "Evenings are best.\nThank you."),
    ):
        tab_to(page, selector)
        page.keyboard.type(text)
    tab_to(page, "main button[type=submit]")
    page.keyboard.press("Enter")

    page.wait_for_url("**/forms/received/*")
    said = page.locator("main").inner_text()
    assert said.index("988") < said.index("Thank you")
    assert "One of us will call you today by 10:05 AM PST." in said
    assert page.locator("main a[href='tel:+19495550100']").is_visible()
    with reading(site.service.engine) as session:
        kept = submissions.find_submission(session, _received_id(page))
    assert kept is not None
    assert kept.payload["name"] == "Alicia Nuñez"
    assert kept.payload["role"] == "patient"
    assert "consent_sms" not in kept.payload


@pytest.mark.parametrize("kind", ["contact", "screening"])
def test_nothing_is_chosen_for_the_person_and_consent_is_theirs_to_give(
    page: Page, kind: str
) -> None:
    page.goto(f"/forms/{kind}")

    assert not page.locator("input[type=hidden][name=consent_sms]").count()
    assert not page.locator("input:checked").count()
    expect(page.locator("#consent_sms")).not_to_be_checked()


def test_an_error_keeps_what_was_typed_and_says_it_beside_the_field(page: Page) -> None:
    page.goto("/forms/screening")
    _fill(page, phone="12", message='She said "<yes>".')
    page.get_by_label("OCD").check()
    page.get_by_label("Low energy").check()
    page.locator("#answers-tried_medication").check()
    page.locator("#consent_sms").check()

    _send(page)

    expect(page.locator(".problems")).to_be_focused()
    expect(page).to_have_title(
        "Please check: Could TMS therapy be right for you? | Harbor Light Wellness"
    )
    expect(page.locator("#name")).to_have_accessible_description("Your name must not be empty.")
    expect(page.locator("#phone")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#email")).to_have_attribute("aria-invalid", "false")
    expect(page.locator("#phone")).to_have_value("12")
    expect(page.locator("#message")).to_have_value('She said "<yes>".')
    for chosen in ("OCD", "Low energy"):
        expect(page.get_by_label(chosen)).to_be_checked()
    expect(page.locator("#answers-tried_medication")).to_be_checked()
    expect(page.locator("#consent_sms")).to_be_checked()


def test_the_summary_of_errors_leads_to_the_field_and_the_form_can_be_sent(page: Page) -> None:
    page.goto("/forms/contact")
    _fill(page, name="Bob")
    _send(page)

    page.locator(".problems a[href='#phone']").press("Enter")
    page.keyboard.press("Tab")
    _fill(page, phone="415-555-0102")
    _send(page)

    page.wait_for_url("**/forms/received/*")


def test_spanish_is_one_button_away_and_stays_to_the_end(page: Page) -> None:
    page.goto("/forms/contact")
    page.get_by_role("button", name="Español").click()
    _send(page)
    expect(page.locator("html")).to_have_attribute("lang", "es")
    expect(page.locator(".problems")).to_contain_text("Escriba su nombre, en una sola línea.")

    _fill(page, name="Alicia", email="alicia@example.com")
    _send(page)

    page.wait_for_url("**/forms/received/*")
    said = page.locator("main").inner_text()
    assert said.index("envíe AYUDA al 988") < said.index("Gracias")
    assert "le llamará hoy antes de las 10:05 AM PST." in said


def test_languages_change_with_what_was_typed_and_enter_still_sends(page: Page) -> None:
    page.goto("/forms/contact")
    _fill(page, name="Alicia", message="Por la tarde.")
    page.locator("#role").check()
    page.locator("#consent_sms").check()

    page.get_by_role("button", name="Español").click()

    expect(page).to_have_url(re.compile(r"/forms/contact\?language=es$"))
    expect(page.locator("h1")).to_have_text("Comuníquese con nosotros")
    expect(page.locator("#name")).to_have_value("Alicia")
    expect(page.locator("#message")).to_have_value("Por la tarde.")
    expect(page.locator("#role")).to_be_checked()
    expect(page.locator("#consent_sms")).not_to_be_checked()
    page.locator("#name").press("Enter")
    expect(page.locator("html")).to_have_attribute("lang", "es")
    expect(page.locator(".problems")).to_be_visible()


def test_a_referrer_is_thanked_as_one(page: Page) -> None:
    page.goto("/forms/contact")
    page.get_by_label("I am a clinician referring a patient").check()
    _fill(page, name="Bob", phone="415-555-0102")
    _send(page)

    expect(page.locator("h1")).to_have_text(
        "Thank you for writing on behalf of someone in your care."
    )


def test_staff_mark_the_lead_from_the_link_and_read_nothing_about_the_person(
    site: Site, page: Page
) -> None:
    page.goto("/forms/contact")
    _fill(page, name="Alicia", phone="415-555-0101")
    _send(page)
    page.goto(_staff_link(site, _received_id(page)))
    assert "Alicia" not in page.content()
    assert "0101" not in page.content()

    page.get_by_role("button", name="contacted").click()

    expect(page.locator("main")).to_contain_text("is marked contacted. No more reminders.")


def test_a_patient_stops_mail_with_one_button(site: Site, page: Page) -> None:
    page.goto("/forms/contact")
    _fill(page, name="Alicia", email="alicia@example.com")
    _send(page)
    page.goto(_unsubscribe_link(site, _received_id(page)))
    assert "alicia" not in page.content()

    page.get_by_role("button", name="Stop these emails").click()

    expect(page.locator("h1")).to_have_text("Done")


@pytest.mark.parametrize("path", ["/act/expired", "/unsubscribe/invalid"])
def test_a_dead_link_says_so_and_gives_the_phone(page: Page, path: str) -> None:
    page.goto(path)

    expect(page.locator("h1")).to_have_text("This link no longer works")
    expect(page.locator("main a")).to_have_attribute("href", "tel:+19495550100")


#: A page of the clinic's website, on another host than ours, with somebody else's frame in it.
_FRAMING = """<!doctype html><title>Clinic</title><p style="height: 30rem">Welcome</p>
<iframe src="{ours}/forms/contact?framed=1" style="width: 100%; height: 20rem"></iframe>
<iframe srcdoc="<p>Somebody else's" id="other"></iframe>
<script src="{ours}/embed.js" async></script>"""


@pytest.fixture
def framing(browser: Browser, running: Running, site: Site) -> Iterator[Page]:
    """The clinic's page with our form in a frame, on a phone with JavaScript."""
    clinics = site.url.replace("127.0.0.1", "localhost")
    embedding = Embedding(origins=(clinics,))
    clinic = site.service.clinic.model_copy(update={"embedding": embedding})
    running.app.state.service = replace(site.service, clinic=clinic)
    context = browser.new_context(viewport=PHONE)
    context.set_default_timeout(10_000)
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = context.new_page()
    html = _FRAMING.format(ours=site.url)
    page.route("**/clinic", lambda route: route.fulfill(body=html, content_type="text/html"))
    page.goto(f"{clinics}/clinic")

    yield page

    context.close()
    hosts = {urlsplit(url).netloc for url in (site.url, clinics)}
    assert {urlsplit(url).netloc for url in asked} - {""} <= hosts


#: How much of the framed page is out of sight.
_HIDDEN = "document.documentElement.scrollHeight - innerHeight"


def test_a_frame_is_as_high_as_what_is_in_it(framing: Page) -> None:
    frame = framing.frame_locator("iframe >> nth=0")
    outer = framing.locator("iframe").first
    eventually(lambda: _height(outer) > 1500)
    inner = framing.frames[1]
    assert inner.evaluate(_HIDDEN) == 0
    form = _height(outer)
    # Turned on its side, and back. A frame that is out of sight is not drawn, and tells nothing.
    framing.set_viewport_size({"width": PHONE["height"], "height": PHONE["width"]})
    outer.evaluate("frame => frame.scrollIntoView()")
    eventually(lambda: _height(outer) < form)
    framing.set_viewport_size(PHONE)
    eventually(lambda: _height(outer) == form)

    frame.locator("main button[type=submit]").click()
    expect(frame.locator(".problems")).to_be_visible()
    eventually(lambda: _height(outer) > form)
    frame.get_by_role("button", name="Español").click()
    expect(frame.locator("html")).to_have_attribute("lang", "es")
    frame.locator("#name").fill("Alicia")
    frame.locator("#phone").fill("415-555-0101")
    frame.locator("main button[type=submit]").click()

    expect(frame.locator("h1")).to_have_text("Gracias. Su mensaje nos llegó.")
    eventually(lambda: _height(outer) < 1200)
    assert inner.evaluate(_HIDDEN) == 0
    # Who sent it stood at its end.
    assert 0 <= _top(outer) < PHONE["height"] / 2


def _top(frame: Locator) -> float:
    box = frame.bounding_box()
    return box["y"] if box else -1


def _height(frame: Locator) -> float:
    box = frame.bounding_box()
    return box["height"] if box else 0


def test_nobody_else_sizes_the_frame(framing: Page) -> None:
    outer = framing.locator("iframe").first
    eventually(lambda: _height(outer) > 1500)
    height = _height(outer)
    framing.evaluate("""() => {
      window.over = new Promise((done) => {
        addEventListener("message", ({data}) => data === "over" && done());
      });
      postMessage({followupHeight: 700}, "*");
    }""")
    other = next(frame for frame in framing.frames if frame.url == "about:srcdoc")
    # In the order in which they were sent, and the first was before them.
    other.evaluate("""() => {
      parent.postMessage({followupHeight: 700}, "*");
      parent.postMessage("over", "*");
    }""")
    framing.evaluate("window.over")

    assert _height(outer) == height


def _staff_link(site: Site, submission_id: uuid.UUID) -> str:
    delivery_id, due_at = _planned(site, submission_id, Audience.staff)
    return site.service.links.act_url(delivery_id, due_at)


def _unsubscribe_link(site: Site, submission_id: uuid.UUID) -> str:
    delivery_id, _due_at = _planned(site, submission_id, Audience.patient)
    return site.service.links.unsubscribe_url(delivery_id)


def _planned(
    site: Site, submission_id: uuid.UUID, audience: Audience
) -> tuple[uuid.UUID, datetime]:
    service = site.service
    intake.consume(service.engine, service.planner, NOW)
    with reading(service.engine) as session:
        submission = submissions.find_submission(session, submission_id)
        assert submission is not None
        assert submission.lead_id is not None
        rows = deliveries.list_of_lead(session, submission.lead_id)
        return next((row.id, row.due_at) for row in rows if row.audience == audience)


_PATHS = [
    f"/forms/{kind}?language={lang}" for kind in ("contact", "screening") for lang in ("en", "es")
]


@pytest.mark.parametrize("path", [*_PATHS, "/act/expired"])
def test_it_fits_a_narrow_screen_and_fingers(page: Page, path: str) -> None:
    """WCAG 2.2: 1.4.10 without scrolling sideways at 320 pixels, 2.5.5 targets of 44 pixels."""
    page.set_viewport_size({"width": 320, "height": 640})
    page.goto(path)

    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    targets = page.locator(
        ".choice, .button, .languages button, .links a, select, textarea, "
        "input:not([type=hidden], [type=radio], [type=checkbox])"
    )
    # The trap for programs stands outside the page, where no finger comes.
    boxes = [target.bounding_box() for target in targets.all() if not _is_trap(target)]
    assert not [box for box in boxes if box and (box["height"] < 44 or box["width"] < 44)]


def _is_trap(target: Locator) -> bool:
    return bool(target.evaluate("node => node.closest('[aria-hidden=true]') !== null"))


#: The ratios of WCAG 2.2 between each text and what is painted behind it, lowest first.
_CONTRASTS = """() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => {
    const [r, g, b] = channels(color).map((c) => c / 255)
      .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (channels(color)[3] !== 0) return color;
    }
  };
  const ratio = (node) => {
    const [low, high] = [light(getComputedStyle(node).color), light(behind(node))]
      .sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  return [...document.body.querySelectorAll("*")]
    .filter((node) => [...node.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
    .map((node) => [ratio(node), node.outerHTML.slice(0, 80)]).sort((a, b) => a[0] - b[0]);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_word_stands_out_by_day_and_by_night(page: Page, scheme: str) -> None:
    """WCAG 2.2, 1.4.3: at least 4.5 to 1."""
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto("/forms/screening")
    _send(page)
    on_form = page.evaluate(_CONTRASTS)
    _fill(page, name="Alicia", phone="415-555-0101")
    _send(page)
    page.wait_for_url("**/forms/received/*")

    contrasts = on_form + page.evaluate(_CONTRASTS)

    assert len(contrasts) > 60
    assert not [pair for pair in contrasts if pair[0] < 4.5]
