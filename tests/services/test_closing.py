"""A lead that staff close without reaching anybody: spam, or a wrong number."""

import pytest

from followup.domain.cadence import Audience, Channel, Lane
from followup.domain.delivery import Reason, Status
from followup.domain.lead import Closing, LeadStatus
from followup.errors import AlreadyContacted, Conflict
from followup.services import working
from followup.store.db import transaction
from followup.store.models import Lead
from tests.services.cast import ALICE, Desk


def close(desk: Desk, lead: Lead, why: Closing) -> working.Marked:
    with transaction(desk.engine) as session:
        return working.close(session, desk.planner, lead.id, why=why, by="Ann", now=desk.now)


def test_what_is_closed_is_silent_and_its_consent_permits_nothing(desk: Desk) -> None:
    lead = desk.submit(ALICE)

    closed = close(desk, lead, Closing.spam)

    assert (closed.cancelled, desk.owed(lead)) == (8, 0)
    assert desk.lead(lead).status is LeadStatus.closed
    desk.send()
    assert desk.provider.sent == []

    again = desk.submit(ALICE, consent_sms=False)
    desk.send(Lane.ack)
    text = desk.row(again, "acknowledgement", Channel.sms)
    assert (text.status, text.reason) == (Status.skipped, Reason.no_consent)
    with pytest.raises(Conflict):
        close(desk, lead, Closing.spam)


def test_a_wrong_number_is_silent_for_every_lead_that_has_it_and_stays_so(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    family = desk.submit({**ALICE, "name": "Bob", "email": "bob@example.com"})

    close(desk, lead, Closing.wrong_number)
    desk.reopen(lead)

    for one in (lead, family):
        (*_, text) = desk.rows(one, channel=Channel.sms, audience=Audience.patient)
        assert desk.lead(one).status is LeadStatus.open
        desk.now = max(desk.now, text.due_at)
        desk.send(Lane.ack, Lane.reminder)
        assert all(
            row.reason in (Reason.wrong_number, Reason.closed)
            for row in desk.rows(one, channel=Channel.sms, audience=Audience.patient)
        )


def test_who_was_reached_is_not_closed_as_spam(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.mark(lead, by="Eve")

    with pytest.raises(AlreadyContacted, match="Eve"):
        close(desk, lead, Closing.spam)
