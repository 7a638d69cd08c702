"""The routes, the rules that tests lay down over HTTP, and the process."""

import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import ValidationError
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from followup.errors import Misconfigured
from followup.sandbox.server import Sandbox
from tests.sandbox.calling import call, get_json
from tests.sandbox.conftest import ALICE, BOB, CLINIC, NOW, SID, TOKEN, OpenSandbox, client_of

PROGRAM = f"""
import sys
from pathlib import Path
from followup.sandbox.server import Sandbox, serve
sandbox = Sandbox(account_sid="{SID}", auth_token="{TOKEN}", port=0, smtp_port=0,
                  state_file=Path(sys.argv[1]))
print(sandbox.url, flush=True)
serve(sandbox)
"""


def test_messages_are_listed_newest_last_in_the_agreed_shape(
    sandbox: Sandbox, client: Client
) -> None:
    first = client.messages.create(to=ALICE, from_=CLINIC, body="Hello").sid
    second = client.messages.create(to=BOB, from_=CLINIC, body="Hello Bob").sid
    sandbox.settle()

    listed = get_json(f"{sandbox.url}/messages")

    assert [message["id"] for message in listed] == [first, second]
    assert listed[0] == {
        "id": first,
        "channel": "sms",
        "to": ALICE,
        "from": CLINIC,
        "subject": None,
        "text": "Hello",
        "html": None,
        "at": NOW.isoformat(),
        "status": "delivered",
        "direction": "outbound-api",
        "message_id": first,
        "headers": {},
        "error_code": None,
    }


@pytest.mark.parametrize(
    ("query", "texts"),
    [
        ("", ["Hello", "Hello Bob"]),
        ("?to=%2B14155550102", ["Hello Bob"]),
        ("?channel=sms", ["Hello", "Hello Bob"]),
        ("?channel=email", []),
        ("?direction=inbound", ["Hi"]),
        ("?direction=all", ["Hello", "Hello Bob", "Hi"]),
    ],
)
def test_messages_are_filtered(
    sandbox: Sandbox, client: Client, query: str, texts: list[str]
) -> None:
    client.messages.create(to=ALICE, from_=CLINIC, body="Hello")
    client.messages.create(to=BOB, from_=CLINIC, body="Hello Bob")
    sandbox.reply(ALICE, "Hi")

    listed = get_json(f"{sandbox.url}/messages{query}")

    assert [message["text"] for message in listed] == texts


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/revision", "text/plain"),
        ("/healthz", "application/json"),
        ("/messages", "application/json"),
        ("/__sim/requests", "application/json"),
        ("/__sim/calls", "application/json"),
    ],
)
def test_every_page_answers(sandbox: Sandbox, path: str, kind: str) -> None:
    status, _, headers = call("GET", sandbox.url + path)

    assert (status, headers["content-type"]) == (200, kind)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/nothing"), ("GET", "/replies"), ("POST", "/messages")]
)
def test_an_unknown_route_is_not_found(sandbox: Sandbox, method: str, path: str) -> None:
    assert call(method, sandbox.url + path)[0] == 404


def test_the_revision_tells_the_page_when_to_look_again(sandbox: Sandbox, client: Client) -> None:
    before = call("GET", f"{sandbox.url}/revision")[1]

    client.messages.create(to=ALICE, from_=CLINIC, body="Hello")

    assert call("GET", f"{sandbox.url}/revision")[1] != before


def test_a_script_is_laid_down_over_http(sandbox: Sandbox, client: Client) -> None:
    rule = {"to": ALICE, "script": "error", "times": 2, "code": 21211, "status": 400}

    assert call("POST", f"{sandbox.url}/__sim/script", data=rule)[0] == 204

    for _ in range(2):
        with pytest.raises(TwilioRestException, match="was told to refuse"):
            client.messages.create(to=ALICE, from_=CLINIC, body="Hello")
    assert client.messages.create(to=ALICE, from_=CLINIC, body="Hello").sid


def test_a_life_is_laid_down_over_http(sandbox: Sandbox, client: Client) -> None:
    rule = {"to": ALICE, "life": "undelivered(30003)"}

    assert call("POST", f"{sandbox.url}/__sim/life", data=rule)[0] == 204

    client.messages.create(to=ALICE, from_=CLINIC, body="Hello")
    sandbox.settle()
    assert sandbox.messages()[0].error_code == 30003


def test_a_mail_script_is_laid_down_over_http(sandbox: Sandbox) -> None:
    rule = {"to": "alice@example.com", "script": "rcpt_550", "times": None}

    assert call("POST", f"{sandbox.url}/__sim/mail-script", data=rule)[0] == 204


@pytest.mark.parametrize(
    ("path", "rule", "named"),
    [
        ("script", {"script": "explode"}, "script"),
        ("script", {"to": ALICE}, "script"),
        ("script", {"script": "error", "colour": "red"}, "colour"),
        ("script", {"script": "error", "status": 200}, "status"),
        ("script", {"script": "ok", "times": 0}, "times"),
        ("life", {"life": "dead"}, "life"),
        ("life", {"life": "delivered", "signature": "ugly"}, "signature"),
        ("mail-script", {"script": "explode"}, "script"),
        ("mail-script", "no object", "JSON object"),
    ],
)
def test_a_wrong_rule_is_refused_by_field(
    sandbox: Sandbox, path: str, rule: object, named: str
) -> None:
    status, body, _ = call("POST", f"{sandbox.url}/__sim/{path}", data=rule)

    assert status == 400
    assert named in json.loads(body)["message"]


def test_a_wrong_rule_is_refused_in_process_too(sandbox: Sandbox) -> None:
    with pytest.raises(ValidationError):
        sandbox.script("explode")


def test_reset_leaves_nothing(sandbox: Sandbox, client: Client) -> None:
    client.messages.create(to=ALICE, from_=CLINIC, body="Hello")
    sandbox.reply(ALICE, "STOP")
    sandbox.script("500")
    sandbox.life("stuck_sent")

    assert call("POST", f"{sandbox.url}/__sim/reset")[0] == 204

    assert get_json(f"{sandbox.url}/messages?direction=all") == []
    assert get_json(f"{sandbox.url}/__sim/requests") == []
    client.messages.create(to=ALICE, from_=CLINIC, body="Hello")
    sandbox.settle()
    assert [message.status for message in sandbox.messages()] == ["delivered"]


@pytest.mark.parametrize(
    ("origin", "status"),
    [(None, 200), ("own", 200), ("http://evil.example.com", 403), ("null", 403)],
)
def test_a_page_of_another_site_cannot_answer(
    sandbox: Sandbox, origin: str | None, status: int
) -> None:
    origin = sandbox.url if origin == "own" else origin
    headers = {} if origin is None else {"Origin": origin}
    answer = {"from": ALICE, "body": "Hi"}

    assert call("POST", f"{sandbox.url}/replies", form=answer, headers=headers)[0] == status


def test_many_senders_at_once_are_all_kept(sandbox: Sandbox) -> None:
    def send(number: int) -> None:
        client = client_of(sandbox)
        for turn in range(5):
            client.messages.create(to=ALICE, from_=CLINIC, body=f"{number}/{turn}")

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(send, range(16)))

    assert len({message.text for message in sandbox.messages()}) == 80
    assert sandbox.settle()


@pytest.mark.parametrize(
    ("busy", "setting"),
    [("port", "FOLLOWUP_SANDBOX_PORT"), ("smtp_port", "FOLLOWUP_SANDBOX_SMTP_PORT")],
)
def test_a_busy_port_names_the_setting(
    sandbox: Sandbox, open_sandbox: OpenSandbox, busy: str, setting: str
) -> None:
    url = sandbox.url if busy == "port" else sandbox.smtp_url
    port = int(url.rpartition(":")[2])

    with pytest.raises(Misconfigured, match=f"^{setting}: .*{port}") as refused:
        open_sandbox(**{busy: port})

    assert "\n" not in str(refused.value)


def start(state_file: Path) -> tuple["subprocess.Popen[str]", str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(state_file)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout:
        return process, process.stdout.readline().strip()


def test_a_killed_process_returns_with_what_it_had_taken(
    tmp_path: Path, open_sandbox: OpenSandbox
) -> None:
    state_file = tmp_path / "outbox.jsonl"
    process, url = start(state_file)
    client = Client(SID, TOKEN)
    client.api.base_url = url
    taken = [client.messages.create(to=ALICE, from_=CLINIC, body=str(n)).sid for n in range(20)]

    process.kill()
    process.wait(10)

    returned = open_sandbox(state_file=state_file)
    assert [message.id for message in returned.messages()] == taken


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_ends_in_peace_when_asked_to(tmp_path: Path, number: signal.Signals) -> None:
    process, url = start(tmp_path / "outbox.jsonl")
    assert get_json(f"{url}/healthz") == {"status": "ok"}

    process.send_signal(number)

    assert process.wait(10) == 0
