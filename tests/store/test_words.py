"""Enumerations as text columns."""

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import StatementError

from followup.domain.lead import LeadStatus
from followup.store import leads
from followup.store.db import reading, transaction
from tests.store.rows import add_lead


def test_a_word_is_its_text_in_the_database_and_a_member_again_when_read(engine: Engine) -> None:
    with transaction(engine) as session:
        lead_id = add_lead(session, status=LeadStatus.held).id

    with engine.connect() as connection:
        stored = connection.execute(text("SELECT status FROM leads")).scalar_one()
    with reading(engine) as session:
        read = leads.get_lead(session, lead_id).status

    assert stored == "held"
    assert read is LeadStatus.held


def test_a_word_that_is_no_member_is_refused(engine: Engine) -> None:
    with pytest.raises(StatementError, match="waiting"), transaction(engine) as session:
        add_lead(session, status="waiting")
