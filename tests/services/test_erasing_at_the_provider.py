"""Erasing over Twilio's real protocol, and what its stand-in has of the person afterwards."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from followup.domain.cadence import Channel
from followup.sandbox.server import Sandbox
from followup.services import erasing
from followup.services.erasing import Eraser
from followup.services.identifying import identify
from followup.store.db import reading
from followup.store.models import ProviderCopy
from followup.transports.base import Transport
from followup.transports.twilio import Account, TwilioTransport
from tests.services.cast import ALICE, BOB, HOUR, Desk
from tests.services.test_erasing import kept

SID, TOKEN = "AC00000000000000000000000000000001", "a-token-for-tests"


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    sandbox = Sandbox(
        account_sid=SID,
        auth_token=TOKEN,
        port=0,
        smtp_port=0,
        pace=0,
        state_file=tmp_path / "sandbox.jsonl",
    )
    sandbox.start()

    yield sandbox

    sandbox.stop()


@pytest.fixture
def twilio(desk: Desk, sandbox: Sandbox) -> Iterator[Transport]:
    account = Account(SID, TOKEN, "+19495550100", sandbox.url)
    transport = TwilioTransport(account, lambda delivery_id: f"http://127.0.0.1:1/{delivery_id}")
    transports: dict[Channel, Transport] = {Channel.sms: transport, Channel.email: desk.provider}
    desk.sender = replace(desk.sender, transports=transports)

    yield transport

    transport.close()


def erase_alice(desk: Desk, twilio: Transport) -> Eraser:
    eraser = Eraser(desk.engine, desk.planner, {Channel.sms: twilio})
    with reading(desk.engine) as session:
        alice = identify(session, desk.planner, email=ALICE["email"])
    erasing.erase(eraser, alice, by="Ann", now=desk.now)
    return eraser


def record_of(sandbox: Sandbox, folder: Path) -> str:
    """Its messages, what was asked of it, and its file."""
    file = (folder / "sandbox.jsonl").read_text()
    said = [sandbox.messages(direction=None), sandbox.requests(), sandbox.calls()]
    return json.dumps(said, default=str) + file


def test_the_providers_record_holds_nothing_of_the_person(
    desk: Desk, sandbox: Sandbox, twilio: Transport, tmp_path: Path
) -> None:
    for somebody in (ALICE, BOB):
        desk.submit(somebody)
    desk.send()
    sandbox.settle()
    before = record_of(sandbox, tmp_path)

    erase_alice(desk, twilio)

    record = record_of(sandbox, tmp_path)
    assert ALICE["phone"][1:] in before
    assert ALICE["phone"][1:] not in record
    assert BOB["phone"] in record
    assert kept(desk, ProviderCopy) == []


def test_a_text_that_has_not_arrived_is_not_forgotten_about(
    desk: Desk, sandbox: Sandbox, twilio: Transport
) -> None:
    sandbox.life("stuck_queued", to=ALICE["phone"])
    desk.submit(ALICE)
    desk.send()
    sandbox.settle()
    eraser = erase_alice(desk, twilio)
    (copy,) = kept(desk, ProviderCopy)

    assert copy.code == "20009"
    assert erasing.finish_erasures(eraser, desk.now + HOUR) == 1
    assert len(sandbox.messages(to=ALICE["phone"])) == 1
