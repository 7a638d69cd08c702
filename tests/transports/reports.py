"""Reports as mail servers write them, on a mail of ours."""

import uuid

DELIVERY = uuid.UUID("0192f0c1-0000-7000-8000-000000000001")


def report(
    delivery_id: uuid.UUID = DELIVERY,
    *,
    action: str = "failed",
    status: str = "5.1.1",
    answer: str = "smtp; 550 5.1.1 No such user",
    original: str | None = None,
    number: str = "1",
    reported: str = "",
    headers: str = "",
) -> bytes:
    """RFC 3464, Appendix E; `original` is the third part, `reported` more of the mail's fields."""
    if original is None:
        original = rfc822_headers(f"Message-ID: <{delivery_id}@example.com>")
    return f"""\
From: Mail Delivery System <mailer-daemon@mail.example.com>
To: hello@example.com
Message-ID: <report-{number}@mail.example.com>
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
{headers}Content-Type: multipart/report; report-type=delivery-status;
 boundary="b"

--b
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not be delivered.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.example.com
{reported}
Final-Recipient: rfc822; alice@example.com
Action: {action}
Status: {status}
Diagnostic-Code: {answer}

--b
{original}
--b--
""".replace("\n", "\r\n").encode()


def rfc822_headers(fields: str) -> str:
    return f"Content-Type: text/rfc822-headers\n\n{fields}\nSubject: We have your message\n"


def whole_mail(fields: str) -> str:
    return f"Content-Type: message/rfc822\n\n{fields}\nSubject: We have it\n\nHello, Alice.\n"


def complaint(delivery_id: uuid.UUID = DELIVERY, *, kind: str = "abuse") -> bytes:
    """RFC 5965, Appendix B."""
    return f"""\
From: <abusedesk@example.com>
To: <hello@example.com>
Subject: FW: We have your message
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="c"

--c
Content-Type: text/plain; charset="US-ASCII"

This is an email abuse report.

--c
Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: SomeGenerator/1.0
Version: 1

--c
Content-Type: message/rfc822

From: <hello@example.com>
Message-ID: <{delivery_id}@example.com>
Subject: We have your message

Hello, Alice.

--c--
""".replace("\n", "\r\n").encode()


OUT_OF_OFFICE = f"""\
From: alice@example.com
To: hello@example.com
Message-ID: <away@example.com>
In-Reply-To: <{DELIVERY}@example.com>
Subject: Automatic reply: STOP
Auto-Submitted: auto-replied
Content-Type: text/plain

I am away. Stop. Unsubscribe.
""".replace("\n", "\r\n").encode()
