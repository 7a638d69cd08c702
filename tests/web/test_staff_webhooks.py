"""Admins see which systems are told, and send again what none of them received."""

import uuid
from dataclasses import replace
from typing import Any

import pytest

from followup.clinic_webhooks import Webhook
from followup.domain.announcement import Event
from followup.services import staffing
from followup.services.staffing import StaffRole
from followup.store import announcements
from followup.store.db import reading, real_now, transaction
from tests.web.caller import NOW, Caller
from tests.web.test_staff_board import Browser
from tests.web.test_staff_people import make_admin

PAGE = "/staff/webhooks"
URL = "https://hooks.example.com/<followup>"


@pytest.fixture
def admin(api: Caller) -> Browser:
    return make_admin(api, "Adam")


@pytest.fixture
def _office(api: Caller) -> None:
    """The clinic has a system that is told."""
    webhooks = (Webhook(name="office", url=URL),)
    clinic = api.service.clinic.model_copy(update={"webhooks": webhooks})
    app: Any = api.http.app
    app.state.service = api.service = replace(api.service, clinic=clinic)
    announcements.subscribe(api.service.engine, {"office": list(Event)})


def test_without_webhooks_nothing_points_there(admin: Browser) -> None:
    assert PAGE not in admin.get("/staff").text
    assert "No other system is told anything" in admin.get(PAGE).text


@pytest.mark.usefixtures("_office")
def test_what_nobody_received_is_sent_again(api: Caller, admin: Browser) -> None:
    api.submit()
    api.consume()
    with transaction(api.service.engine) as session:
        now = real_now(session)
        announcements.stop(session, "office", URL, now)
        announcements.give_up(session, now, "HTTP 500", but=[])
        (row,) = announcements.list_dead(session, 10)
    page = admin.get(PAGE).text
    assert PAGE in admin.get("/staff").text
    assert "&lt;followup&gt;" in page
    assert "HTTP 500" in page
    assert "Said that it is gone" in page
    assert "Alice" not in page

    assert admin.post(f"{PAGE}/office/start").headers["location"] == f"{PAGE}?done=started"
    answer = admin.post(f"{PAGE}/dead/{row.id}/resend")

    assert answer.headers["location"] == f"{PAGE}?done=resent"
    assert "1 to be told" in admin.get(PAGE).text
    assert admin.post(f"{PAGE}/dead/{row.id}/resend").status_code == 404
    assert admin.post(f"{PAGE}/dead/{uuid.uuid4()}/resend").status_code == 404
    assert admin.post(f"{PAGE}/office/start").status_code == 404
    with reading(api.service.engine) as session:
        assert announcements.count_dead(session) == 0


@pytest.mark.usefixtures("_office")
def test_a_manager_sees_none_of_it(api: Caller, admin: Browser) -> None:
    dana = Browser(api, "Dana")
    with transaction(api.service.engine) as session:
        staffing.change_person(session, "Dana", NOW, role=StaffRole.manager)

    assert dana.get(PAGE).status_code == 403
    assert dana.post(f"{PAGE}/office/start").status_code == 403
    assert dana.post(f"{PAGE}/dead/resend").status_code == 403
    assert PAGE not in dana.get("/staff").text
