"""Signed links: opaque, naming a delivery and nothing of the person (promise P6); and the mark
that a hosted form carries of when it was shown."""

import re
import secrets
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from itsdangerous import BadData, URLSafeSerializer

from followup.errors import NotFound

#: A staff link works that long after its reminder was due.
ACT_LIFE = timedelta(days=7)
#: What came with an older showing of a form is taken as without one.
OPENING_LIFE = timedelta(days=1)
_TOKEN = re.compile(r"(/(?:act|unsubscribe)/)[\w.-]+")


@dataclass(frozen=True)
class Opening:
    """One showing of a hosted form; `number` tells it from the others of that instant."""

    number: str
    opened_at: datetime


class Links:
    """Makes and reads links below `public_url`. The first key signs, all are believed."""

    def __init__(self, secret_keys: Sequence[str], public_url: str) -> None:
        # itsdangerous signs with the last of its keys.
        keys = list(reversed(secret_keys))
        self._act = URLSafeSerializer(keys, salt="act")
        self._unsubscribe = URLSafeSerializer(keys, salt="unsubscribe")
        self._opening = URLSafeSerializer(keys, salt="opening")
        self.public_url = public_url

    def act_url(self, delivery_id: uuid.UUID, due_at: datetime) -> str:
        expires_at = int((due_at + ACT_LIFE).timestamp())
        return f"{self.public_url}/act/{self._act.dumps([_short(delivery_id), expires_at])}"

    def read_act(self, token: str, now: datetime) -> uuid.UUID:
        """The delivery whose link this is. Raises NotFound when forged or expired."""
        try:
            short, expires_at = self._act.loads(token)
            delivery_id, expiry = _long(short), datetime.fromtimestamp(expires_at, UTC)
        except (BadData, ValueError, TypeError, OverflowError):
            raise NotFound("this link is not valid") from None
        if now >= expiry:
            raise NotFound("this link has expired")
        return delivery_id

    def unsubscribe_url(self, delivery_id: uuid.UUID) -> str:
        """Has no end: opting out must go on working (CAN-SPAM: at least 30 days)."""
        return f"{self.public_url}/unsubscribe/{self._unsubscribe.dumps(_short(delivery_id))}"

    def unsubscribe_mail(self, delivery_id: uuid.UUID, mailbox: str) -> str:
        """The same for a mail program that writes instead of asking: RFC 2369, 3.2."""
        token = self._unsubscribe.dumps(_short(delivery_id))
        return f"mailto:{quote(mailbox, safe='@')}?subject=unsubscribe%20{token}"

    def read_unsubscribe(self, token: str) -> uuid.UUID:
        try:
            return _long(self._unsubscribe.loads(token))
        except (BadData, ValueError, TypeError):
            raise NotFound("this link is not valid") from None

    def opening(self, now: datetime) -> str:
        """What a form that is shown now carries."""
        return self._opening.dumps([secrets.token_urlsafe(8), round(now.timestamp(), 3)])

    def read_opening(self, token: str, now: datetime) -> Opening | None:
        """None when there is none that we made within `OPENING_LIFE`."""
        try:
            number, seconds = self._opening.loads(token)
            opened_at = datetime.fromtimestamp(seconds, UTC)
        except (BadData, ValueError, TypeError, OverflowError):
            return None
        is_alive = now - OPENING_LIFE < opened_at <= now
        return Opening(number, opened_at) if is_alive and isinstance(number, str) else None

    def board_url(self, site: str) -> str:
        """The staff's page of who waits there; it asks for a sign-in."""
        return f"{self.public_url}/staff?site={quote(site)}"

    def status_url(self, delivery_id: uuid.UUID) -> str:
        """Where Twilio reports to. The fragment asks for retries and is not signed
        (twilio.com/docs/usage/webhooks/webhooks-connection-overrides)."""
        return f"{self.public_url}/webhooks/twilio/status/{delivery_id}#rc=3&rp=5xx,ct,rt"


def without_tokens(text: str) -> str:
    """A message as somebody may read it who was not sent it, and so must not act by its links."""
    return _TOKEN.sub(r"\1…", text)


def _short(delivery_id: uuid.UUID) -> str:
    return urlsafe_b64encode(delivery_id.bytes).rstrip(b"=").decode()


def _long(short: str) -> uuid.UUID:
    return uuid.UUID(bytes=urlsafe_b64decode(short + "=="))
