"""Writing a mail: nothing that is no one line gets into a header."""

import uuid

import pytest

from followup.transports.base import Outgoing
from followup.transports.mail import build


@pytest.mark.parametrize("subject", ["a\nBcc: eve@example.com", "a\r\n b", "a\rb", "a\x00b"])
def test_a_header_of_more_than_one_line_is_refused(subject: str) -> None:
    message = Outgoing(
        delivery_id=uuid.UUID(int=1), to="alice@example.com", text="Hello", subject=subject
    )

    with pytest.raises(ValueError, match="Subject must be one line"):
        build(message, "hello@example.com", None)
