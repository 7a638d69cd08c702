"""What a mail server reports by mail, whatever its habits; and what is no report."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from followup.transports import bounces
from followup.transports.mail_events import MailHappening
from tests.transports.reports import (
    DELIVERY,
    OUT_OF_OFFICE,
    complaint,
    report,
    rfc822_headers,
    whole_mail,
)

BOUNCED, REFUSED = MailHappening.bounced, MailHappening.refused


@pytest.mark.parametrize(
    ("action", "status", "answer", "happening", "code"),
    [
        ("failed", "5.1.1", "smtp; 550 5.1.1 unknown", BOUNCED, "5.1.1"),
        ("Failed", "5.1.2", "x-unix; no host", BOUNCED, "5.1.2"),
        ("failed", "5.2.1", "", BOUNCED, "5.2.1"),
        ("failed", "5.1.1 (bad mailbox)", "", BOUNCED, "5.1.1"),
        ("failed", "5.0.0", "smtp; 550 5.1.1 unknown", BOUNCED, "5.1.1"),
        ("failed", "5.0.0", "smtp; 550 no", REFUSED, "5.0.0"),
        ("failed", "5.2.2", "smtp; 552 5.2.2 full", REFUSED, "5.2.2"),
        ("failed", "4.4.7", "", REFUSED, "4.4.7"),
        ("failed", "5.7.1", "smtp; 554 5.7.1 policy", REFUSED, "5.7.1"),
        ("failed", "", "", REFUSED, ""),
        ("delayed", "4.4.1", "", MailHappening.deferred, "4.4.1"),
        ("delayed", "5.1.1", "", MailHappening.deferred, "5.1.1"),
        ("delivered", "2.0.0", "", MailHappening.delivered, "2.0.0"),
        ("relayed", "2.0.0", "", MailHappening.unknown, "2.0.0"),
        ("expanded", "2.0.0", "", MailHappening.unknown, "2.0.0"),
        ("\u00fc", "5.1.1", "", MailHappening.unknown, "5.1.1"),
    ],
)
def test_a_report_says_what_happened_and_why(
    action: str, status: str, answer: str, happening: MailHappening, code: str
) -> None:
    (event,) = bounces.read(report(action=action, status=status, answer=answer))

    assert (event.happening, event.code, event.delivery_id) == (happening, code, DELIVERY)


OURS = f"Message-ID: <{DELIVERY}@example.com>"
OTHERS = "Message-ID: <0102-of-the-relay@mail.example.com>"


@pytest.mark.parametrize(
    "mail",
    [
        pytest.param(report(original=rfc822_headers(OURS)), id="in the header returned"),
        pytest.param(report(original=rfc822_headers(OURS.lower())), id="in lower case"),
        pytest.param(report(original=whole_mail(OURS)), id="in the mail returned"),
        pytest.param(
            report(original=whole_mail(f"{OTHERS}\nX-PM-Metadata-delivery: {DELIVERY}")),
            id="in our own header, because a relay replaced the other",
        ),
        pytest.param(
            report(original="", reported=f"Original-Message-ID: <{DELIVERY}@example.com>\n"),
            id="in the report",
        ),
        pytest.param(
            report(original="", headers=f"References: <x@y> <{DELIVERY}@example.com>\n"),
            id="as what the report answers",
        ),
    ],
)
def test_the_mail_is_found_wherever_the_report_names_it(mail: bytes) -> None:
    assert [event.delivery_id for event in bounces.read(mail)] == [DELIVERY]


def test_the_mail_returned_counts_before_what_is_referred_to() -> None:
    mail = report(headers="References: <0192f0c1-0000-7000-8000-00000000ffff@example.com>\n")

    assert [event.delivery_id for event in bounces.read(mail)] == [DELIVERY]


@pytest.mark.parametrize(
    ("kind", "happening"),
    [
        ("abuse", MailHappening.complained),
        ("fraud", MailHappening.complained),
        ("opt-out", MailHappening.unsubscribed),
        ("not-spam", MailHappening.unknown),
        ("other", MailHappening.unknown),
    ],
)
def test_a_complaint_names_its_kind(kind: str, happening: MailHappening) -> None:
    (event,) = bounces.read(complaint(kind=kind))

    assert (event.said, event.happening, event.delivery_id) == (kind, happening, DELIVERY)


def test_the_same_report_is_the_same_event_and_another_is_not() -> None:
    first, again, other = (bounces.read(report(number=number))[0].event_id for number in "112")

    assert first == again != other


@pytest.mark.parametrize(
    "mail",
    [
        pytest.param(OUT_OF_OFFICE, id="an automatic reply"),
        pytest.param(report(original=rfc822_headers(OTHERS)), id="on another's mail"),
        pytest.param(report(original=""), id="on nothing"),
        pytest.param(report().replace(b"multipart/report", b"multipart/mixed"), id="forwarded"),
        pytest.param(report().replace(b"Action:", b"Acting:"), id="without an action"),
        pytest.param(report().replace(b"--b", b""), id="without parts"),
        pytest.param(report()[:200], id="cut off"),
        pytest.param(b"", id="empty"),
    ],
)
def test_what_reports_nothing_on_a_mail_of_ours_is_no_event(mail: bytes) -> None:
    assert bounces.read(mail) == []


@settings(max_examples=300, derandomize=True, database=None)
@given(
    at=st.integers(0, 1200),
    cut=st.integers(0, 40),
    rubbish=st.binary(max_size=30),
    mail=st.sampled_from([report(), report(original=whole_mail(OURS)), complaint()]),
)
def test_no_mail_however_broken_is_an_error(at: int, cut: int, rubbish: bytes, mail: bytes) -> None:
    for event in bounces.read(mail[:at] + rubbish + mail[at + cut :]):
        assert event.said.isascii()
        assert len(event.event_id) < 200
