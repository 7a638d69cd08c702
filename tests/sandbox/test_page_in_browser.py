"""The page as a person uses it: it refreshes itself and leaves what they type alone."""

import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect, sync_playwright
from twilio.rest import Client

from followup.sandbox.server import Sandbox
from tests.sandbox.conftest import ALICE, BOB, CLINIC, Service


@pytest.fixture
def page(chromium: Path, sandbox: Sandbox) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(sandbox.url)
        yield page
        browser.close()


def test_a_half_typed_answer_survives_what_comes_in_and_then_is_sent(
    page: Page, sandbox: Sandbox, client: Client, service: Service
) -> None:
    client.messages.create(to=ALICE, from_=CLINIC, body="Hello Alice")
    answer = page.get_by_label(f"Answer as {ALICE}")
    answer.type("Mornings")

    client.messages.create(to=BOB, from_=CLINIC, body="Hello Bob")
    expect(page.get_by_text("Hello Bob")).to_be_visible()
    expect(answer).to_have_value("Mornings")
    expect(answer).to_be_focused()
    answer.press("Enter")

    expect(page.locator(".inbound")).to_contain_text("Mornings")
    expect(answer).to_have_value("")
    assert service.received[0].fields["Body"] == "Mornings"


def test_a_number_that_nobody_wrote_to_can_write_first(page: Page, service: Service) -> None:
    page.get_by_label("From another number").fill(BOB)
    page.get_by_label("Its text").fill("DONE K7Q4")
    page.get_by_label("Its text").press("Enter")

    expect(page.locator(".inbound")).to_contain_text("DONE K7Q4")
    expect(page.get_by_role("heading", name=BOB)).to_be_visible()
    assert service.received[0].fields["From"] == BOB


def test_a_text_changes_its_status_before_the_readers_eyes(
    page: Page, sandbox: Sandbox, client: Client
) -> None:
    sandbox.life("accepted_then_failed", delay=3)

    client.messages.create(to=ALICE, from_=CLINIC, body="Hello")

    expect(page.locator(".status")).to_have_text("queued")
    expect(page.locator(".status")).to_have_text("failed (21610)")


def test_a_mail_cannot_run_a_script(page: Page, sandbox: Sandbox) -> None:
    mail = EmailMessage()
    mail["From"] = "hello@example.com"
    mail["To"] = "alice@example.com"
    mail["Subject"] = "Hello"
    mail.set_content("Hello")
    html = "<p id='p'>As sent</p><script>document.getElementById('p').textContent = 'run'</script>"
    mail.add_alternative(html, subtype="html")
    with smtplib.SMTP("127.0.0.1", urlsplit(sandbox.smtp_url).port or 0) as smtp:
        smtp.send_message(mail)

    expect(page.frame_locator("iframe").locator("#p")).to_have_text("As sent")
