"""A batch of submissions on their way to being leads: each read once, all written together."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from sqlalchemy.orm import Session

from followup.domain.address import extension_of
from followup.domain.announcement import Event
from followup.domain.cadence import Audience, Channel
from followup.domain.foreign import RECEIVED
from followup.domain.lead import LeadStatus
from followup.domain.submission import AnyForm, read_submission
from followup.services.planning import Planner
from followup.services.reviewing import RELEASED_BY
from followup.services.translating import translate_document
from followup.store import announcements, deliveries, leads
from followup.store.models import Lead, Submission
from followup.store.words import SubmissionStatus

#: In a submission's evidence. The server that posted it, where that is not the visitor's browser.
SENDER = "sender"
#: It came from a source that signs nothing.
UNSIGNED = "unsigned"
#: When the person sent it, by another's clock.
SUBMITTED_AT = "submitted_at"
#: Who may be written to because of it; without it, everybody.
AUDIENCES = "audiences"
_EVERYBODY = frozenset(Audience)


def audiences_of(submission: Submission) -> Collection[Audience]:
    named = submission.evidence.get(AUDIENCES)
    return _EVERYBODY if named is None else frozenset(map(Audience, named))


def is_unsigned(submission: Submission) -> bool:
    return bool(submission.evidence.get(UNSIGNED))


def written_at(submission: Submission) -> datetime:
    """When the person wrote it: what was held up on its way is older than it looks."""
    said = submission.evidence.get(SUBMITTED_AT)
    at = submission.received_at
    return min(datetime.fromisoformat(said), at) if said else at


@dataclass(frozen=True)
class Arrival:
    """A submission that can be read, its form, and the hashes by which its person is found: under
    every key, the newest first."""

    submission: Submission
    form: AnyForm
    email_hashes: Sequence[str]
    phone_hashes: Sequence[str]

    @classmethod
    def read(cls, planner: Planner, submission: Submission) -> Self:
        """Raises Invalid for one that an older version let through.

        What could not be read of another's form when it came is read by the mapping of today.
        """
        source = planner.clinic.find_source(submission.source)
        if source is not None and RECEIVED in submission.payload:
            received = submission.payload[RECEIVED]
            submission.payload = dict(translate_document(planner.clinic, source, received).payload)
        form = read_submission(submission.kind, submission.payload)
        return cls(
            submission,
            form,
            planner.hashes_of(Channel.email, form.email) if form.email else [],
            planner.hashes_of(Channel.sms, form.phone) if form.phone else [],
        )

    @property
    def addresses(self) -> list[str]:
        """What is locked while they are decided about."""
        return [*self.email_hashes[:1], *self.phone_hashes[:1]]

    @property
    def released_by(self) -> str | None:
        """Who of the staff let in what the door had caught."""
        return self.submission.evidence.get(RELEASED_BY)

    @property
    def is_unsigned(self) -> bool:
        return is_unsigned(self.submission)

    @property
    def audiences(self) -> Collection[Audience]:
        return audiences_of(self.submission)

    @property
    def is_unproven(self) -> bool:
        return self.submission.evidence.get("captcha") == "failed"

    @property
    def phone_extension(self) -> str | None:
        typed = self.submission.payload.get("phone")
        return extension_of(typed) if isinstance(typed, str) else None

    def shares_address(self, lead: Lead) -> bool:
        return lead.email_hash in self.email_hashes or lead.phone_hash in self.phone_hashes


class Batch:
    """What a batch makes, in a few statements for all rather than several for each."""

    def __init__(
        self, session: Session, planner: Planner, waiting: list[Lead], references: list[str]
    ) -> None:
        self.session, self.planner = session, planner
        #: Open leads that share an address with one of the batch, the oldest first; those that the
        #: batch makes are among them at once, for whoever submitted twice is one lead.
        self.waiting = waiting
        self._references = references
        self._leads: list[Lead] = []
        self._rows: list[dict[str, Any]] = []
        self._consumed: list[tuple[Submission, Lead]] = []

    @classmethod
    def open(cls, session: Session, planner: Planner, arrivals: Sequence[Arrival]) -> Self:
        waiting = leads.list_open_alike(
            session,
            [digits for arrival in arrivals for digits in arrival.email_hashes],
            [digits for arrival in arrivals for digits in arrival.phone_hashes],
        )
        return cls(
            session, planner, list(waiting), leads.find_free_references(session, len(arrivals))
        )

    def next_reference(self) -> str:
        return self._references.pop()

    def add_lead(self, lead: Lead) -> None:
        self._leads.append(lead)
        self.waiting.append(lead)

    def plan(self, rows: Iterable[dict[str, Any]]) -> None:
        self._rows += rows

    def consumed(self, submission: Submission, lead: Lead) -> None:
        self._consumed.append((submission, lead))

    def write(self, now: datetime) -> None:
        """Whoever looks at what the batch has made so far calls this before."""
        # What follows refers to the leads.
        self.session.add_all(self._leads)
        self.session.flush()
        for submission, lead in self._consumed:
            submission.lead_id = lead.id
            submission.status = SubmissionStatus.consumed
            submission.consumed_at = now
        self.session.flush()
        deliveries.plan(self.session, self._rows)
        # Who is held is announced when staff release them.
        welcome = [one for one in self._leads if one.status is not LeadStatus.held]
        announcements.announce(
            self.session, Event.lead_created, now, [{"lead_id": one.id} for one in welcome]
        )
        self._leads, self._rows, self._consumed = [], [], []
