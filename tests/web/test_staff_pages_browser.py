"""Staff's pages in a real browser: two people at once, by keyboard alone, without JavaScript, over
a slow line; and whether every page, the patients' too, can be read and used by everybody."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Locator,
    Page,
    Request,
    ViewportSize,
    expect,
)

from followup.clinic_webhooks import Webhook
from followup.domain.announcement import Event
from followup.domain.audit import Door
from followup.domain.cadence import Audience
from followup.domain.lead import LeadStatus
from followup.domain.submission import Kind
from followup.services import intake, staffing, working
from followup.services.staffing import StaffRole
from followup.store import announcements, deliveries, leads, ledger, people
from followup.store.db import reading, transaction
from followup.store.models import Lead
from tests.schema import KEYRING
from tests.web.browsing import NOW, PHONE, Site, browser, running, site, tab_to

__all__ = ["browser", "running", "site"]

DESK: ViewportSize = {"width": 1280, "height": 800}
PASSWORD = "a sentence to remember"
#: What a colleague did is seen after at most so many milliseconds.
LIVE = 2_000

#: Opens a browser window of somebody of the staff, signed in.
Enter = Callable[..., Page]


@pytest.fixture
def opened(browser: Browser, site: Site) -> Iterator[Callable[..., BrowserContext]]:
    """Browsers with these options. Ends the test with a failure if one asked anybody but us."""
    contexts: list[BrowserContext] = []
    asked: list[str] = []

    def open_one(**options: Any) -> BrowserContext:
        context = browser.new_context(base_url=site.url, **{"viewport": DESK, **options})
        context.set_default_timeout(10_000)
        context.on("request", lambda request: asked.append(request.url))
        contexts.append(context)
        return context

    yield open_one

    for context in contexts:
        context.close()
    assert {urlsplit(url).netloc for url in asked} <= {urlsplit(site.url).netloc}


@pytest.fixture
def enter(opened: Callable[..., BrowserContext], site: Site) -> Enter:
    def enter(name: str, role: StaffRole = StaffRole.staff, **options: Any) -> Page:
        with transaction(site.service.engine) as session:
            added = staffing.add_person(session, KEYRING, name=name, role=role, now=NOW)
        page = opened(**options).new_page()
        page.goto("/staff/welcome")
        page.locator("#token").fill(added.token)
        page.locator("#password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url("**/staff")
        return page

    return enter


def add_lead(site: Site, name: str = "Alice Ames", number: int = 1, **fields: Any) -> Lead:
    service = site.service
    given = {"name": name, "phone": f"(415) 555-01{number:02}", "email": f"{number}@example.com"}
    received = intake.receive(
        service.engine,
        service.clinic,
        Kind.contact,
        {"message": "Please call me in the evening.", **given, **fields},
        now=service.now(),
    )
    while intake.consume(service.engine, service.planner, service.now()):
        pass
    with reading(service.engine) as session:
        (lead,) = leads.list_leads(session, service.now(), submission=received.submission_id)
        return lead


def row_of(page: Page, lead: Lead) -> Locator:
    return page.locator(f"#lead-{lead.id}")


def is_contacted(site: Site, lead: Lead) -> bool:
    with reading(site.service.engine) as session:
        return leads.get_lead(session, lead.id).status is LeadStatus.contacted


def test_one_click_on_the_board_marks_a_lead_and_a_colleague_sees_it(
    site: Site, enter: Enter, capsys: pytest.CaptureFixture[str]
) -> None:
    lead, other = add_lead(site), add_lead(site, "Bob Bell", 2)
    ann, ben = enter("Ann", viewport=PHONE), enter("Ben")
    expect(row_of(ben, lead)).to_be_visible()

    row_of(ann, lead).get_by_role("button", name="Contacted").click()

    began = time.monotonic()
    expect(row_of(ben, lead)).to_have_count(0, timeout=LIVE)
    seen_after = time.monotonic() - began
    expect(row_of(ben, other)).to_be_visible()
    expect(ann.get_by_role("status")).to_contain_text(f"{lead.reference} is marked contacted")
    assert is_contacted(site, lead)
    with capsys.disabled():
        print(f"\na colleague's board showed the mark after {seen_after:.2f} s")


def test_who_takes_a_lead_has_it_on_every_board_and_one_of_two_who_mark_hears_who_was_first(
    site: Site, enter: Enter
) -> None:
    lead = add_lead(site)
    ann, ben = enter("Ann"), enter("Ben", viewport=PHONE)

    row_of(ann, lead).get_by_role("button", name="I take it").click()
    expect(row_of(ben, lead)).to_contain_text("Ann has it", timeout=LIVE)

    # The board that a colleague has not seen change: as after a second without a line.
    ben.context.set_offline(True)
    row_of(ann, lead).get_by_role("button", name="Contacted").click()
    expect(ann.get_by_role("status")).to_contain_text("is marked contacted")
    ben.context.set_offline(False)
    ben.evaluate(
        "lead => document.querySelector(`#lead-${lead} form[action$=contacted]`).submit()",
        str(lead.id),
    )

    expect(ben.locator("main")).to_contain_text("Ann")
    with reading(site.service.engine) as session:
        assert leads.get_lead(session, lead.id).contacted_by == "Ann"


def look_away(page: Page, hidden: bool) -> None:
    """To another tab, and back."""
    page.evaluate(
        "hidden => {"
        " Object.defineProperty(document, 'hidden', { configurable: true, value: hidden });"
        " document.dispatchEvent(new Event('visibilitychange')); }",
        hidden,
    )


def is_stream(request: Request) -> bool:
    return urlsplit(request.url).path == "/staff/events"


def test_a_page_that_nobody_looks_at_holds_no_connection_and_is_new_when_it_is_seen(
    site: Site, enter: Enter
) -> None:
    ann = enter("Ann")
    expect(ann.get_by_text("Nobody waits here.")).to_be_visible()

    with ann.expect_event("requestfailed", is_stream):
        look_away(ann, hidden=True)
    lead = add_lead(site)
    look_away(ann, hidden=False)

    expect(row_of(ann, lead)).to_be_visible(timeout=LIVE)


#: A stream that never comes about, and fails as often as a test says so.
FAILING_STREAM = """
window.EventSource = class extends EventTarget {
  static CLOSED = 2;
  readyState = 0;
  constructor() { super(); window.stream = this; }
  close() {}
};
"""


def test_a_stream_that_fails_again_and_again_puts_no_look_off(site: Site, enter: Enter) -> None:
    ann = enter("Ann")
    ann.clock.install()
    ann.add_init_script(FAILING_STREAM)
    ann.goto("/staff")
    lead = add_lead(site)

    for _ in range(2):
        ann.clock.fast_forward(3_000)
        ann.evaluate("stream.dispatchEvent(new Event('error'))")

    expect(row_of(ann, lead)).to_be_visible(timeout=LIVE)


def test_the_keyboard_alone_marks_a_lead(site: Site, enter: Enter) -> None:
    lead = add_lead(site)
    ann = enter("Ann")

    tab_to(ann, f"#lead-{lead.id} form[action$=contacted] button")
    ann.keyboard.press("Enter")

    expect(ann.get_by_role("status")).to_contain_text("is marked contacted")
    assert is_contacted(site, lead)


def test_without_javascript_a_phone_can_do_it_all(site: Site, enter: Enter) -> None:
    lead = add_lead(site)
    ann = enter("Ann", viewport=PHONE, java_script_enabled=False)

    row_of(ann, lead).get_by_text("Snooze").click()
    row_of(ann, lead).locator("form[action$=snooze] button").first.click()
    expect(row_of(ann, lead)).to_contain_text("Rests until")
    row_of(ann, lead).get_by_role("link", name="Alice Ames").click()
    expect(ann.locator("main")).to_contain_text("Please call me in the evening.")
    ann.goto("/staff")
    row_of(ann, lead).get_by_role("button", name="Contacted").click()

    expect(ann.get_by_role("status")).to_contain_text("is marked contacted")
    assert is_contacted(site, lead)


def test_over_a_slow_line_an_impatient_second_click_does_no_harm(site: Site, enter: Enter) -> None:
    lead = add_lead(site)
    ann = enter("Ann", viewport=PHONE)
    line = ann.context.new_cdp_session(ann)
    # As 3G at the edge of a town.
    slow = {"latency": 400, "downloadThroughput": 50_000, "uploadThroughput": 50_000}
    line.send("Network.emulateNetworkConditions", {"offline": False, **slow})
    ann.reload()

    row_of(ann, lead).get_by_role("button", name="Contacted").dblclick()

    expect(ann.get_by_role("status")).to_contain_text("is marked contacted")
    with reading(site.service.engine) as session:
        verbs = [one.verb for one in ledger.list_actions(session, lead.id)]
    assert verbs.count("contacted") == 1


def pages_of(site: Site, lead: Lead, done: Lead) -> Mapping[str, str]:
    """Every page, by what it is: those that anybody may see first."""
    with reading(site.service.engine) as session:
        rows = deliveries.list_of_lead(session, lead.id)
        person = people.find_by_name(session, "Ann")
    assert person is not None
    mail = next(row for row in rows if row.audience is Audience.patient)
    alert = next(row for row in rows if row.audience is Audience.staff)
    links = site.service.links
    return {
        "contact form": "/forms/contact",
        "screening form": "/forms/screening",
        "unsubscribe": urlsplit(links.unsubscribe_url(mail.id)).path,
        "act": urlsplit(links.act_url(alert.id, alert.due_at)).path,
        "sign-in": "/staff/sign-in",
        "welcome": "/staff/welcome",
        "board": "/staff",
        "done": "/staff?done=yes",
        "lead": f"/staff/leads/{lead.id}",
        "lead that was called": f"/staff/leads/{done.id}",
        "insights": "/staff/insights",
        "people": "/staff/people",
        "person": f"/staff/people/{person.id}",
        "account": "/staff/account",
        "problems": "/staff/problems",
        "webhooks": "/staff/webhooks",
    }


@pytest.mark.parametrize(("language", "theme"), [("en", "light"), ("es", "dark")])
@pytest.mark.timeout(240)
def test_every_page_can_be_used_by_everybody(
    site: Site, enter: Enter, language: str, theme: Literal["light", "dark"]
) -> None:
    """WCAG 2.2 AA, as far as axe-core sees; each page in each language and each theme."""
    office = Webhook(name="office", url="https://hooks.example.com/told")
    changes = {"default_language": language, "webhooks": (office,)}
    clinic = site.service.clinic.model_copy(update=changes)
    site.app.state.service = replace(site.service, clinic=clinic)
    announcements.subscribe(site.service.engine, {"office": list(Event)})
    lead = add_lead(site, language=language)
    done = add_lead(site, "Bob Bell", 2)
    with transaction(site.service.engine) as session:
        working.mark_contacted(session, done.id, by="Ann", now=NOW, door=Door.page)
        announcements.stop(session, office.name, office.url, NOW)
        announcements.give_up(session, NOW, "HTTP 500", but=[])
    admin = enter("Ann", StaffRole.admin, viewport=PHONE, color_scheme=theme)

    found = {}
    for name, path in pages_of(site, lead, done).items():
        at = f"{path}?language={language}" if path.startswith("/forms") else path
        answer = admin.goto(at)
        assert answer is not None
        assert answer.status == 200, name
        assert admin.locator("html").get_attribute("lang") == language, name
        found[name] = _serious(admin)
        assert admin.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], name
    admin.goto(f"/forms/contact?language={language}")
    admin.locator("main button[type=submit]").click()
    expect(admin.locator("[aria-invalid=true]").first).to_be_visible()
    found["form with errors"] = _serious(admin)

    assert {name: faults for name, faults in found.items() if faults} == {}


def _serious(page: Page) -> list[str]:
    results = Axe().run(page, options={"resultTypes": ["violations"]}).response
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:200]}"
        for one in results["violations"]
        if one["impact"] in ("serious", "critical")
    ]
