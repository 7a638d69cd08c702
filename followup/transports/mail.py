"""Writes a mail: its headers and parts, as they go over the wire."""

import email.policy
from email.charset import QP, Charset
from email.header import Header
from email.headerregistry import Address
from email.message import Message
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.utils import format_datetime, formataddr, parseaddr
from typing import Any

from followup.transports.base import Outgoing

#: Names the delivery where a relay replaces the Message-ID; Postmark gives it back as `Metadata`.
DELIVERY_HEADER = "X-PM-Metadata-delivery"


#: RFC 5322 §2.1.1.
LONGEST_LINE = 998


class _Wire(email.policy.Compat32):
    """Lines as RFC 5322 wants them; 7 bit, because not every server speaks 8BITMIME."""

    def fold_binary(self, name: str, value: Any) -> bytes:
        # Most headers fit one line: to have them folded costs more than all the rest of a mail.
        is_one_line = isinstance(value, str) and value.isascii() and len(name) + len(value) < 76
        if is_one_line and value.isprintable():
            return f"{name}: {value}\r\n".encode()
        return super().fold_binary(name, value)


WIRE = _Wire(linesep="\r\n", cte_type="7bit", max_line_length=78)


#: For words beyond ASCII: readable as they stand, where base64 looks like something to hide.
_READABLE: Any = Charset("utf-8")
_READABLE.body_encoding = QP


def build(message: Outgoing, sender: str, reply_to: str | None) -> Message:
    """The mail. A header with a line break or the like is refused, so nothing can be injected.

    The older classes of the library: those of `EmailMessage` parse each header anew, which was most
    of what a mail cost.
    """
    headers = {
        "From": formataddr(parseaddr(sender)),
        "To": str(Address(addr_spec=message.to)),
        "Subject": message.subject,
        **({"Date": format_datetime(message.date)} if message.date is not None else {}),
        "Message-ID": message.message_id,
        DELIVERY_HEADER: str(message.delivery_id),
        **({"Reply-To": reply_to} if reply_to else {}),
        **message.headers,
    }
    mail: Message = _part(message.text, "plain")
    if message.html is not None:
        mail = MIMEMultipart("alternative", None, [mail, _part(message.html, "html")])
    for name, value in headers.items():
        if not value.isprintable():
            raise ValueError(f"{name} must be one line")
        header: Any = value if value.isascii() else Header(value, "utf-8")
        mail[name] = header
    return mail


def _part(words: str, kind: str) -> MIMEText:
    is_plain = words.isascii() and all(len(line) <= LONGEST_LINE for line in words.splitlines())
    return MIMEText(words, kind, "us-ascii" if is_plain else _READABLE)
