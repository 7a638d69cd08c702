"""What an open page is told of, as long as its sign-in lasts."""

from collections.abc import Iterator

import httpx2
import pytest

from followup.domain.submission import Kind
from followup.services import intake, signing_in, staffing
from followup.services.signing_in import SignedIn
from followup.services.staffing import StaffRole
from followup.store.db import transaction
from tests.schema import KEYRING
from tests.web.browsing import NOW, Site, running, site
from tests.web.caller import ALICE

__all__ = ["running", "site"]


@pytest.fixture
def token(site: Site) -> str:
    """Of Dana's sign-in."""
    engine = site.service.engine
    with transaction(engine) as session:
        made = staffing.add_person(session, KEYRING, name="Dana", role=StaffRole.staff, now=NOW)
    return signing_in.welcome(
        engine, token=made.token, password="a sentence to remember", address="", now=NOW
    )


@pytest.fixture
def told(site: Site, token: str) -> Iterator[Iterator[str]]:
    """What Dana's page is told, line by line."""
    cookies = {"followup": token}
    with httpx2.stream("GET", f"{site.url}/staff/events", cookies=cookies, timeout=10) as stream:
        lines = (line for line in stream.iter_lines() if line)
        assert next(lines) == "retry: 2000"
        yield lines


def submit(site: Site) -> None:
    service = site.service
    intake.receive(service.engine, service.clinic, Kind.contact, dict(ALICE), now=service.now())


def signed_in(site: Site, token: str) -> SignedIn:
    found = signing_in.find_signed_in(site.service.engine, token, site.service.clinic.signing_in)
    assert found is not None
    return found


def test_a_page_is_told_of_a_change(site: Site, told: Iterator[str]) -> None:
    submit(site)

    assert next(told) == "event: changed"


def test_who_has_signed_out_is_told_nothing_more_however_much_changes(
    site: Site, token: str, told: Iterator[str]
) -> None:
    signing_in.sign_out(site.service.engine, signed_in(site, token), NOW)
    submit(site)

    assert [line for line in told if line.startswith("event")] == ["event: ended"]
