"""Every exception of the service, as one tree.

FollowupError
├── Invalid                      the caller's data; names every wrong field
├── NotFound                     no such lead, delivery, person of the staff
├── Conflict                     the answer is no: somebody or something was first
│   ├── AlreadyContacted
│   └── KeyReused
├── TooMany                      from one address, or to one account, in so short a time
├── Denied                       not who they say they are
├── Misconfigured                a setting, the clinic's file, a cadence or a template
├── Unfit                        a message that says what may not be said
└── TransportError               what a provider, or the way to it, did with one message
    ├── TemporaryFailure         certainly not sent; may be tried again
    │   └── ChannelFailure       so would be any other message now
    │       └── Throttled        because too many came at once
    ├── PermanentFailure         certainly not sent; trying again would not help
    ├── ConfigurationFailure     certainly not sent, and nothing of this channel will be
    └── OutcomeUnknown           it may have been sent; nobody knows
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


class FollowupError(Exception):
    """Root of all our errors."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: `field` names it as the caller wrote it, `problem` says why."""

    field: str
    problem: str

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}"


class Invalid(FollowupError):
    """The caller's data breaks a rule; `faults` names every wrong field at once."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__("; ".join(str(fault) for fault in faults))
        self.faults = faults


class NotFound(FollowupError):
    """There is no such thing."""


class Conflict(FollowupError):
    """The answer is no, because of what happened before."""


class AlreadyContacted(Conflict):
    """Somebody else marked the lead first."""

    def __init__(self, contacted_by: str, contacted_at: datetime) -> None:
        super().__init__(f"already marked contacted by {contacted_by}")
        self.contacted_by = contacted_by
        self.contacted_at = contacted_at


class KeyReused(Conflict):
    """The Idempotency-Key was used before with other content."""


class TooMany(FollowupError):
    """So many came, from one address or to one account, that no more are taken until `retry_after`
    has passed."""

    def __init__(self, retry_after: timedelta, what: str = "submissions from this address") -> None:
        super().__init__(f"too many {what}; try again later")
        self.retry_after = retry_after


class Denied(FollowupError):
    """Name, password and code are not somebody's; which of them was wrong is never told."""


class Misconfigured(FollowupError):
    """A setting, the clinic's file, a cadence or a template is wrong; the message is one line
    that names the place (file, key or line) and what was expected there."""


class Unfit(FollowupError):
    """A finished message breaks a rule of what may be said, and is not to be sent.

    `wording` names its words and their version; `complaints` name rules, and nothing personal.
    """

    def __init__(self, wording: str, complaints: Sequence[str]) -> None:
        super().__init__(f"{wording}: {'; '.join(complaints)}")
        self.wording = wording
        self.complaints = tuple(complaints)


class TransportError(FollowupError):
    """One attempt to hand a message to a provider did not end in acceptance.

    `code` is the provider's own code as text, `reason` our short cause without personal data.
    """

    #: Whether the way to the provider failed, rather than this one message: many in a row pause
    #: the channel.
    by_channel = False

    def __init__(
        self, reason: str, code: str | None = None, retry_after: timedelta | None = None
    ) -> None:
        super().__init__(f"{reason} ({code})" if code else reason)
        self.reason = reason
        self.code = code
        self.retry_after = retry_after


class TemporaryFailure(TransportError):
    """Certainly not sent, and a later attempt may succeed."""


class ChannelFailure(TemporaryFailure):
    """The provider is not there, or takes nothing from anybody now."""

    by_channel = True


class Throttled(ChannelFailure):
    """The provider took nothing because too many came at once, and would after `retry_after`."""


class PermanentFailure(TransportError):
    """Certainly not sent, and this message to this address never will be.

    `suppress` says why the address must not be written to any more, in the words of
    `domain.consent.SuppressionReason`; None when only this message is at fault. `blames_us`: for
    what we write or may not do, so that others may be refused as well.
    """

    def __init__(
        self,
        reason: str,
        code: str | None = None,
        *,
        suppress: str | None = None,
        blames_us: bool = False,
    ) -> None:
        super().__init__(reason, code)
        self.suppress = suppress
        self.blames_us = blames_us


class ConfigurationFailure(TransportError):
    """Certainly not sent: the account, sender or credentials are wrong for every message."""

    by_channel = True


class OutcomeUnknown(TransportError):
    """The request may have been taken; only the provider can tell. Never sent again blindly."""

    by_channel = True
