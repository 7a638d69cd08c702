"""Whatever staff ask of a clinic that has long been in business is answered, on each kind of
database, and looks at no more than is asked for: every route of theirs, from the table of them."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

import pyotp
import pytest
from httpx2 import Response
from sqlalchemy import select, update

from followup.clinic_limits import Limits
from followup.clinic_webhooks import Webhook
from followup.domain.announcement import Event
from followup.domain.suspicion import Suspicion
from followup.services import signing_in
from followup.services.staffing import StaffRole
from followup.store import announcements, people
from followup.store.db import reading, real_now, transaction
from followup.store.models import Announcement, Lead, Submission
from followup.store.words import SubmissionStatus
from followup.web.access import ACCESS, Access
from tests.plans import fill, recorded, wasteful
from tests.web.caller import Caller
from tests.web.test_staff_board import PASSWORD
from tests.web.test_staff_people import make_admin

#: One never ends, the other ends what the others need.
APART = {"GET /staff/events", "POST /staff/sign-out"}
ROUTES = [name for name, access in ACCESS.items() if access >= Access.staff and name not in APART]
NEXT_PASSWORD = "another sentence to remember"
HOOK = "https://hooks.example.com/followup"

#: Of a page that shows different things.
VIEWS: Mapping[str, tuple[str, ...]] = {
    "GET /staff": (
        *("", "?overdue=yes", "?mine=yes", "?site=newport-beach&kind=contact", "?after={alice}"),
        *("?done=yes", "?done=yes&site=newport-beach&kind=contact", "?done=yes&after={alice}"),
        *("?done=yes&mine=yes", "?held=yes"),
    ),
    "GET /staff/insights.csv": ("?what=site&days=90",),
    "GET /admin/leads": (
        *("", "?overdue=true", "?overdue=false&kind=contact", "?status=closed", "?status=held"),
        *("?reference=C1000", "?cursor={alice}"),
    ),
    "GET /admin/submissions/spam": ("", "?cursor={alice}"),
}
SEARCHED = ("Ng", "alice@example.com", "(415) 555-0101", "C1000")

#: What a form holds, and what the API is told, beside what `Walk` knows: by the route's last word.
FORMS: Mapping[str, Mapping[str, str]] = {
    "notes": {"note": "works nights"},
    "snooze": {"for": "1h"},
    "assign": {"to": "me"},
    "close": {"why": "spam"},
    "opt-out": {"channel": "both"},
    "opt-in": {"channel": "both", "note": "asked for it"},
    "password": {"old": PASSWORD, "password": NEXT_PASSWORD},
    "end": {"password": NEXT_PASSWORD},
    "people": {"name": "Eve", "role": "staff", "email": "eve@example.com"},
    "{person_id}": {"role": "manager", "phone": "(415) 555-0109"},
}
BODIES: Mapping[str, Mapping[str, Any]] = {
    "notes": {"note": "works nights"},
    "snooze": {"until": "2027-01-24T17:00:00Z"},
    "assign": {"to": "Ada", "expected": None},
    "close": {"why": "spam"},
    "opt-in": {"channels": ["email"], "note": "asked for it"},
}
#: What staff have done before they can do this.
BEFORE = {"reopen": "contacted", "opt-in": "opt-out"}


@pytest.fixture
def api(api_everywhere: Caller) -> Caller:
    """A clinic with another system that is told."""
    api = api_everywhere
    webhooks = (Webhook(name="office", url=HOOK),)
    clinic = api.service.clinic.model_copy(update={"webhooks": webhooks})
    app: Any = api.http.app
    app.state.service = api.service = replace(api.service, clinic=clinic)
    announcements.subscribe(api.service.engine, {"office": list(Event)})
    return api


class Walk:
    """Through every route, by Ada, who may do everything; each finds what it is about."""

    def __init__(self, api: Caller) -> None:
        self.api = api
        self._numbers = count(10)
        self.browser = make_admin(api, "Ada")
        self.bearer = api.staff("Ada's script", StaffRole.admin)
        lead = api.lead(self.bearer)
        self.alice: str = lead["id"]
        api.send_due()
        api.act(self.bearer, lead, "attempts", {})
        with reading(api.service.engine) as session:
            alice = session.get_one(Lead, uuid.UUID(self.alice))
        fill(api.service.engine, alice)
        api.clock.pass_by(timedelta(days=60))

    def asks(self, name: str) -> Iterator[Callable[[], Response]]:
        """What is asked of one route, with everything there that it needs."""
        method, _, path = name.partition(" ")
        verb, is_page = path.rpartition("/")[2], path.startswith("/staff")
        path = self._about(path, verb)
        if method == "GET":
            for view in VIEWS.get(name, ("",)):
                yield self._get(path + view.format(alice=self.alice), is_page=is_page)
        elif verb == "search":
            for words in SEARCHED:
                yield self._post(path, {"q": words}, is_page=is_page)
        else:
            body = {**(FORMS if is_page else BODIES).get(verb, {}), **self._known(path)}
            yield self._post(path, body, is_page=is_page)

    def _get(self, path: str, *, is_page: bool) -> Callable[[], Response]:
        if is_page:
            return lambda: self.browser.get(path)
        return lambda: self.api.http.get(path, headers=self.bearer)

    def _post(self, path: str, body: Mapping[str, Any], *, is_page: bool) -> Callable[[], Response]:
        if is_page:
            return lambda: self.browser.post(path, **body)
        return lambda: self.api.http.post(path, headers=self.bearer, json=body)

    def _about(self, path: str, verb: str) -> str:
        """The path, with something there that is new to it."""
        made = {
            "{lead_id}": lambda: self._lead(verb),
            "{submission_id}": lambda: self._submission(
                SubmissionStatus.spam if verb == "release" else SubmissionStatus.problem
            ),
            "{person_id}": self._person,
            "{announcement_id}": self._dead,
            "{name}": self._stopped,
        }
        for word, make in made.items():
            if word in path:
                path = path.replace(word, make())
        return path

    def _known(self, path: str) -> Mapping[str, str]:
        """What a form holds that was not known before."""
        if path != "/staff/account/codes":
            return {}
        secret = signing_in.new_totp_secret()
        return {"secret": secret, "code": pyotp.TOTP(secret).now()}

    def _lead(self, verb: str) -> str:
        if verb == "{lead_id}":
            return self.alice
        phone = f"(415) 555-01{next(self._numbers)}"
        if verb == "merge":
            self._consumed(phone)
        name, limits = "Bob Ng", None
        if verb in ("release", "reject"):
            name, limits = "Buy at www.example.com", Limits()
        submission_id = self._consumed(phone, name, limits)
        with reading(self.api.service.engine) as session:
            submission = session.get_one(Submission, uuid.UUID(submission_id))
        lead_id = str(submission.lead_id)
        if verb in BEFORE:
            done = self.api.act(self.bearer, {"id": lead_id}, BEFORE[verb], {})
            assert done.is_success
        return lead_id

    def _consumed(self, phone: str, name: str = "Carol Ng", limits: Limits | None = None) -> str:
        email = f"{uuid.uuid4().hex}@example.com"
        submission_id = self.api.submit(name=name, email=email, phone=phone)
        self.api.consume(limits)
        return submission_id

    def _submission(self, status: SubmissionStatus) -> str:
        submission_id = self.api.submit()
        values = {"status": status, "problem": "no such field", "caught": Suspicion.honeypot}
        with transaction(self.api.service.engine) as session:
            this = Submission.id == uuid.UUID(submission_id)
            session.execute(update(Submission).where(this).values(**values))
        return submission_id

    def _person(self) -> str:
        name = uuid.uuid4().hex
        self.api.staff(name)
        with reading(self.api.service.engine) as session:
            person = people.find_by_name(session, name)
        assert person is not None
        return str(person.id)

    def _dead(self) -> str:
        self._lead("")
        with transaction(self.api.service.engine) as session:
            announcements.give_up(session, real_now(session), "HTTP 500", but=[])
            return str(session.scalars(select(Announcement.id)).first())

    def _stopped(self) -> str:
        with transaction(self.api.service.engine) as session:
            announcements.stop(session, "office", HOOK, real_now(session))
        return "office"


def test_each_route_answers_and_looks_at_no_more_than_it_is_asked_for(api: Caller) -> None:
    walk, engine = Walk(api), api.service.engine
    statements: dict[str, Any] = {}
    refused = []
    for name in ROUTES:
        for ask in walk.asks(name):
            with recorded(engine) as ran:
                answer = ask()
            statements = dict(ran) | statements
            if answer.status_code not in (200, 303):
                refused.append(f"{name}: {answer.status_code} {answer.text[-300:]}")

    assert refused == []
    assert len(statements) > 100
    assert "\n".join(wasteful(engine, list(statements.items()))) == ""
