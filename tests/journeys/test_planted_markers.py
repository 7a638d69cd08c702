"""The whole service handles people whose every word is marked: the marks are found in their own
messages and behind the staff's authentication, and nowhere else (promise P6)."""

import base64
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import inspect, text
from twilio.request_validator import RequestValidator

from followup.services import staffing
from followup.store.crypto import keyring_of
from followup.store.db import transaction
from tests.crew import TOKEN, Crew, Program
from tests.journeys.doors import Doors
from tests.journeys.planting import (
    CONTACT,
    EMAIL,
    MARKERS,
    PHONE,
    SCREENING,
    Traffic,
    dump_of,
    files_of,
    found_in,
)
from tests.sandbox.calling import call
from tests.servers import Valkey
from tests.waiting import eventually

STAFF = "dana@example.com"
STAFF_PHONE = "+14155550188"


@dataclass
class Run:
    """The service while it runs, and those of its parts that are looked into."""

    crew: Crew
    doors: Doors
    programs: list[Program]
    database: Path

    def everything_said(self) -> str:
        return "".join(program.output for program in self.programs)


@pytest.fixture
def run(tmp_path: Path, broker_url: str) -> Iterator[Run]:
    # A program ends with the thread that started it.
    with Crew(tmp_path, broker_url) as crew, ThreadPoolExecutor() as pool:
        starts = (crew.start_api, crew.start_worker, crew.start_beat)
        programs = [one.result() for one in [pool.submit(start) for start in starts]]
        with transaction(crew.service.engine) as session:
            made = staffing.add_person(
                session,
                keyring_of(crew.service.engine),
                name="Dana",
                role=staffing.StaffRole.staff,
                now=crew.service.now(),
                email=STAFF,
                phone=STAFF_PHONE,
            )
        doors = Doors(f"http://127.0.0.1:{crew.port}", crew.sandbox.url, made.token)
        yield Run(crew, doors, programs, tmp_path / "followup.db")


def live(run: Run) -> list[str]:
    """All that these people do, and staff with them. Returns what the doors said to strangers."""
    agent = {"User-Agent": MARKERS["agent"], "Idempotency-Key": MARKERS["key"]}
    answers = [
        call("POST", f"{run.doors.url}/submissions/{kind}", data=body, headers=agent)
        for kind, body in (("contact", CONTACT), ("screening", SCREENING))
    ]
    assert [status for status, _, _ in answers] == [202, 202]
    eventually(lambda: {EMAIL, PHONE, STAFF} <= {one.to for one in run.crew.sandbox.messages()})
    for body in (MARKERS["reply"], "STOP", f"START\n{MARKERS['start']}"):
        assert text_back(run, body) == 200
    return [said for _, said, _ in (*answers, *refuse(run))]


def refuse(run: Run) -> list[tuple[int, str, dict[str, str]]]:
    """What goes wrong, with the marks in it."""
    wrong = {**CONTACT, "email": MARKERS["name"], "phone": MARKERS["message"], "role": "quexvalue"}
    path, query = quote(MARKERS["path"]), f"{MARKERS['query']}={quote(EMAIL)}"
    filters = f"reference={quote(EMAIL)}&kind={MARKERS['query']}"
    token = {"Authorization": f"Bearer {run.doors.token}"}
    refused = [
        call("POST", f"{run.doors.url}/submissions/contact", data=wrong),
        call("GET", f"{run.doors.url}/{path}?{query}"),
        call("GET", f"{run.doors.url}/admin/leads?{filters}", headers=token),
        call("GET", f"{run.doors.url}/unsubscribe/{path}?{query}"),
        call("POST", f"{run.doors.url}/webhooks/twilio/inbound", form={"Body": MARKERS["reply"]}),
        call("GET", f"{run.doors.url}/admin/leads"),
    ]
    assert [status for status, _, _ in refused] == [422, 404, 422, 404, 403, 401]
    return refused


def text_back(run: Run, body: str) -> int:
    """As Twilio brings it."""
    url = f"{run.doors.url}/webhooks/twilio/inbound"
    fields = {
        "MessageSid": f"SM{abs(hash(body))}",
        "From": PHONE,
        "To": "+19495550100",
        "Body": body,
    }
    signature = RequestValidator(TOKEN).compute_signature(url, fields)
    return call("POST", url, form=fields, headers={"X-Twilio-Signature": signature})[0]


def staff_look(run: Run) -> str:
    """What staff see of them with their token."""
    doors = run.doors
    assert doors.post("/admin/leads/search", {"q": MARKERS["search"]}).status == 200
    found = doors.post("/admin/leads/search", {"q": EMAIL}).json["items"]
    return "".join(doors_text(doors, lead["id"]) for lead in found)


def doors_text(doors: Doors, lead_id: str) -> str:
    headers = {"Authorization": f"Bearer {doors.token}"}
    return call("GET", f"{doors.url}/admin/leads/{lead_id}", headers=headers)[1]


def cells_with_marks(run: Run) -> dict[str, set[str]]:
    """Columns of the database in which a mark can be read."""
    marked = {}
    with run.crew.service.engine.connect() as connection:
        for table in inspect(connection).get_table_names():
            for row in connection.execute(text(f'SELECT * FROM "{table}"')).mappings():  # noqa: S608
                for column, value in row.items():
                    raw: bytes | str = value if isinstance(value, bytes) else str(value)
                    if marks := found_in(raw):
                        marked[f"{table}.{column}"] = marks
    return marked


def messages_with_marks(run: Run) -> dict[str, set[str]]:
    """What a mark can be read in, other than what the patient is to read."""
    marked = {}
    for one in run.crew.sandbox.messages():
        own = one.to in (EMAIL, PHONE)
        words = f"{one.subject} {one.text} {one.html}"
        read = " ".join(re.findall(r"https?://[^\s\"<>)]+", words)) if own else words
        if marks := found_in(read):
            marked[f"{one.channel} to {one.to}"] = marks
    return marked


@pytest.mark.timeout(200)
def test_what_a_person_wrote_is_read_in_their_messages_and_by_staff_alone(
    run: Run, broker_url: str
) -> None:
    assert not run.crew.ended, run.everything_said()
    broker = Valkey(Path(broker_url.removeprefix("redis+socket://").partition("?")[0]).parent)
    with Traffic(broker) as traffic:
        answered = live(run)
        seen = staff_look(run)
        health = [call("GET", run.doors.url + path)[1] for path in ("/metrics", "/readyz")]
        eventually(lambda: b"followup.seal" in traffic.heard, within=20)
        kept = dump_of(broker)
        places: dict[str, bytes | str] = {
            "output": run.everything_said(),
            "traffic": bytes(traffic.heard),
            "broker": kept,
            "database": files_of(run.database),
            "health": "".join(health),
            "answers": "".join(answered),
        }

        found = {place: marks for place, hay in places.items() if (marks := found_in(hay))}
        assert found == {}
        assert cells_with_marks(run) == {}
        assert messages_with_marks(run) == {}
        of_a_lead = {"name", "email", "message", "answer", "field's name", "field's value"}
        assert {*of_a_lead, "phone", "page", "reply", "start"} <= found_in(seen)
        first_name = MARKERS["name"].split()[0]
        own = [one.text for one in run.crew.sandbox.messages() if one.to == EMAIL]
        assert any(first_name in one for one in own)

        # The search itself is searched: what is planted there on purpose is found.
        run.crew.ring("followup.send_due", MARKERS["search"], queue="upkeep")
        eventually(lambda: found_in(bytes(traffic.heard)) == {"search"})
        eventually(lambda: "a task failed" in run.everything_said())
        assert found_in(run.everything_said()) == set()


@pytest.mark.parametrize("name", MARKERS)
@pytest.mark.parametrize(
    "written",
    [
        lambda marker: json.dumps({"event": marker}),
        lambda marker: f"GET /admin/leads?q={quote(marker)}",
        lambda marker: marker.upper(),
        lambda marker: repr({"email": marker}),
    ],
    ids=["in a line of the log", "in a URL", "in capitals", "in an exception"],
)
def test_a_mark_that_leaked_would_be_found(name: str, written: Callable[[str], str]) -> None:
    assert name in found_in(written(MARKERS[name]))


@pytest.mark.parametrize("before", ["", "x", "xx"])
def test_a_mark_is_found_in_base64_wherever_it_begins(before: str) -> None:
    whole = base64.b64encode(f"{before}{MARKERS['reply']} and more".encode())

    assert found_in(whole) == {"reply"}
