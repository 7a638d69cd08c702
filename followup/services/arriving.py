"""A batch of submissions on their way to being leads: each read once, all written together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from sqlalchemy.orm import Session

from followup.domain.address import extension_of
from followup.domain.cadence import Channel
from followup.domain.submission import AnyForm, read_submission
from followup.services.planning import Planner
from followup.services.reviewing import RELEASED_BY
from followup.store import deliveries, leads
from followup.store.models import Lead, Submission
from followup.store.words import SubmissionStatus


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
        """Raises Invalid for one that an older version let through."""
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
        self._leads, self._rows, self._consumed = [], [], []
