"""Posts one event to one webhook by the Standard Webhooks specification. Follows no redirect: only
the address that the operator wrote hears anything."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import requests

from followup import __version__
from followup.config_fields import is_loopback
from followup.domain.signature import sign

#: For connecting, and for the answer. The specification advises 15 to 30 seconds.
TIMEOUT = timedelta(seconds=15)


@dataclass(frozen=True)
class Answered:
    """What the receiver said."""

    status: int
    retry_after: timedelta | None = None

    @property
    def is_received(self) -> bool:
        return 200 <= self.status < 300

    def __str__(self) -> str:
        return f"HTTP {self.status}"


@dataclass(frozen=True)
class Unanswered:
    """The receiver may have it, or not."""

    problem: str

    def __str__(self) -> str:
        return self.problem


Answer = Answered | Unanswered


def post(
    url: str,
    keys: tuple[bytes, ...],
    message_id: str,
    body: bytes,
    now: datetime,
    timeout: timedelta = TIMEOUT,
) -> Answer:
    """One attempt, signed with each of the keys. Raises nothing."""
    timestamp = int(now.timestamp())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"followup/{__version__}",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(keys, message_id, timestamp, body),
    }
    try:
        with (
            _session(url) as session,
            session.post(
                url,
                data=body,
                headers=headers,
                timeout=timeout.total_seconds(),
                # Nothing that it says is read but the status.
                stream=True,
            ) as answer,
        ):
            return Answered(
                answer.status_code, _retry_after(answer.headers.get("Retry-After"), now)
            )
    except requests.Timeout:
        return Unanswered("no answer in time")
    except (requests.RequestException, OSError, ValueError) as error:
        return Unanswered(f"no answer ({type(error).__name__})")


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """Nowhere: what does not follow a redirect would still read all that it says."""


def _session(url: str) -> requests.Session:
    """With the environment's proxies and certificates, and not its passwords (`.netrc`). What is
    for this machine goes through no proxy: it may be without TLS."""
    session = _Session()
    told = session.merge_environment_settings(url, {}, None, None, None)
    session.verify, session.cert = told["verify"], told["cert"]
    if not is_loopback(url):
        session.proxies = told["proxies"]
    session.trust_env = False
    return session


def _retry_after(text: str | None, now: datetime) -> timedelta | None:
    """Seconds, or a date (RFC 9110 §10.2.3)."""
    if text is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", text.strip()):
        return timedelta(seconds=int(text))
    try:
        at = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(at - now, timedelta(0))
