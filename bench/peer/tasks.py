"""One task per message, each with a client of its own; reminders wait in the worker."""

import logging
import os
import smtplib
import ssl
import threading
import uuid
from email.message import EmailMessage
from email.utils import formatdate, make_msgid, parseaddr
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from celery import Celery
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from twilio.rest import Client

app = Celery("peer", broker=os.environ["PEER_BROKER_URL"])
app.conf.update(task_ignore_result=True)

#: The variant that keeps a client, and a connection to the mail server, for each thread.
REUSES_CLIENT = bool(os.environ.get("PEER_REUSES_CLIENT"))

CLINIC = {
    "clinic_name": "Harbor Light Wellness",
    "clinic_phone": "(949) 555-0100",
    "clinic_phone_e164": "+19495550100",
    "postal_address": "100 Harbor Light Way, Newport Beach, CA 92660",
    "when": "Wednesday, September 30 by 10:30 AM PDT",
}
STAFF_EMAIL, STAFF_PHONE = "frontdesk@example.com", "+19495550111"
REMINDER_SECONDS = 12 * 3600

SENDER = os.environ["FOLLOWUP_EMAIL_FROM"]
ACCOUNT_SID = os.environ["FOLLOWUP_TWILIO_ACCOUNT_SID"]
AUTH_TOKEN = os.environ["FOLLOWUP_TWILIO_AUTH_TOKENS"]
SENDING_NUMBER = os.environ["FOLLOWUP_TWILIO_FROM"]
TWILIO_URL = os.environ["FOLLOWUP_TWILIO_API_URL"]
MAIL = urlsplit(os.environ["FOLLOWUP_SMTP_URL"])
WEBSITE = "https://www.example.com"
STATUS_URL = f"{WEBSITE}/webhooks/twilio/status"

# At INFO it would write numbers and texts into the log.
logging.getLogger("twilio.http_client").setLevel(logging.WARNING)

templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
)
kept = threading.local()


@app.task
def send_email(submission_id: str, name: str, to: str) -> None:
    unsubscribe_url = f"{WEBSITE}/unsubscribe/{submission_id}"
    headers = {
        "Auto-Submitted": "auto-replied",
        "List-Unsubscribe": f"<{unsubscribe_url}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
    facts = {"first_name": name.split()[0], "unsubscribe_url": unsubscribe_url}
    deliver_mail(to, "acknowledgement", facts, headers)


@app.task
def send_sms(to: str) -> None:
    deliver_text(to, "acknowledgement", {})


@app.task
def remind_by_email(submission_id: str) -> None:
    headers = {"Auto-Submitted": "auto-generated"}
    deliver_mail(STAFF_EMAIL, "reminder", reminder_facts(submission_id), headers)


@app.task
def remind_by_sms(submission_id: str) -> None:
    deliver_text(STAFF_PHONE, "reminder", reminder_facts(submission_id))


def reminder_facts(submission_id: str) -> dict[str, str]:
    return {"reference": submission_id[:4].upper(), "link": f"{WEBSITE}/leads/{submission_id}"}


def plan_reminders(submission_id: uuid.UUID) -> None:
    """Their ids are made of the submission's, so that they can be revoked without a table."""
    for task in (remind_by_email, remind_by_sms):
        task.apply_async(
            (str(submission_id),),
            countdown=REMINDER_SECONDS,
            task_id=f"{submission_id}-{task.name}",
        )


def revoke_reminders(submission_id: uuid.UUID) -> None:
    app.control.revoke(
        [f"{submission_id}-{task.name}" for task in (remind_by_email, remind_by_sms)]
    )


def deliver_mail(to: str, template: str, facts: dict[str, str], headers: dict[str, str]) -> None:
    mail = EmailMessage()
    mail["From"] = SENDER
    mail["To"] = to
    mail["Subject"] = templates.get_template(f"{template}.subject.txt").render(CLINIC | facts)
    mail["Date"] = formatdate()
    mail["Message-ID"] = make_msgid(domain=parseaddr(SENDER)[1].partition("@")[2])
    for header, value in headers.items():
        mail[header] = value
    mail.set_content(templates.get_template(f"{template}.txt").render(CLINIC | facts))
    html = templates.get_template(f"{template}.html").render(CLINIC | facts)
    mail.add_alternative(html, subtype="html")
    if not REUSES_CLIENT:
        with connect() as smtp:
            smtp.send_message(mail)
        return
    if not hasattr(kept, "smtp"):
        kept.smtp = connect()
    try:
        kept.smtp.send_message(mail)
    except (OSError, smtplib.SMTPServerDisconnected):
        kept.smtp = connect()
        kept.smtp.send_message(mail)


def connect() -> smtplib.SMTP:
    host, port = MAIL.hostname or "", MAIL.port or 0
    if MAIL.scheme != "smtps":
        return smtplib.SMTP(host, port, timeout=30)
    smtp = smtplib.SMTP_SSL(host, port, timeout=30, context=ssl.create_default_context())
    smtp.login(MAIL.username or "", MAIL.password or "")
    return smtp


def deliver_text(to: str, template: str, facts: dict[str, str]) -> None:
    text = templates.get_template(f"{template}.sms.txt").render(CLINIC | facts)
    client().messages.create(to=to, from_=SENDING_NUMBER, body=text, status_callback=STATUS_URL)


def client() -> Any:
    if not REUSES_CLIENT:
        return make_client()
    if not hasattr(kept, "client"):
        kept.client = make_client()
    return kept.client


def make_client() -> Any:
    made = Client(ACCOUNT_SID, AUTH_TOKEN)
    made.api.base_url = TWILIO_URL
    return made
