"""What was taken is known again, also after a kill."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from followup.errors import Misconfigured
from followup.sandbox.outbox import Message, Outbox, OutboxClosed

NOW = datetime(2026, 11, 23, 17, 5, tzinfo=UTC)


def text(number: int, **fields: Any) -> Message:
    message = Message(
        id=f"SM{number}",
        channel="sms",
        to="+14155550101",
        sender="+19495550100",
        text="¡Hola! 😀",
        at=NOW,
        updated_at=NOW,
        status="queued",
    )
    return replace(message, **fields)


def test_messages_are_listed_newest_last_and_filtered() -> None:
    outbox = Outbox()
    for number, channel in enumerate(["sms", "email", "sms"]):
        outbox.add(text(number, channel=channel))

    assert [message.id for message in outbox.list_messages()] == ["SM0", "SM1", "SM2"]
    assert [message.id for message in outbox.list_messages(channel="sms")] == ["SM0", "SM2"]
    assert outbox.list_messages(to="+14155550199") == []


def test_a_changed_message_keeps_its_place() -> None:
    outbox = Outbox()
    outbox.add(text(0))
    outbox.add(text(1))

    outbox.change("SM0", status="sent")

    assert [message.status for message in outbox.list_messages()] == ["sent", "queued"]


def test_changing_or_removing_what_is_not_there_says_so() -> None:
    outbox = Outbox()

    assert outbox.change("SM9", status="sent") is None
    assert outbox.remove("SM9") is False


def test_the_oldest_message_makes_room() -> None:
    outbox = Outbox(capacity=2)
    for number in range(3):
        outbox.add(text(number))

    assert [message.id for message in outbox.list_messages()] == ["SM1", "SM2"]


def test_the_revision_tells_of_every_change() -> None:
    outbox = Outbox()
    revisions = [outbox.revision]
    for act in (
        lambda: outbox.add(text(0)),
        lambda: outbox.change("SM0", status="sent"),
        lambda: outbox.remove("SM0"),
        outbox.clear,
    ):
        act()
        revisions.append(outbox.revision)

    assert len(set(revisions)) == len(revisions)


def test_a_killed_sandbox_knows_what_it_had_taken(tmp_path: Path) -> None:
    path = tmp_path / "state" / "outbox.jsonl"
    killed = Outbox(path)
    killed.add(text(0))
    killed.add(text(1, sent_at=NOW, headers={"Subject": "x"}))
    killed.add(text(2))
    killed.change("SM0", status="delivered", error_code=30003)
    killed.remove("SM2")

    returned = Outbox(path)

    assert returned.list_messages() == killed.list_messages()
    assert [message.id for message in returned.list_messages()] == ["SM0", "SM1"]
    returned.close()
    killed.close()


def test_a_line_torn_by_the_kill_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "outbox.jsonl"
    first = Outbox(path)
    first.add(text(0))
    first.close()
    with path.open("ab") as file:
        file.write(b'{"add": {"id": "SM1", "chan')

    second = Outbox(path)
    second.add(text(2))
    second.close()

    third = Outbox(path)
    assert [message.id for message in third.list_messages()] == ["SM0", "SM2"]
    third.close()


def test_a_broken_file_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "outbox.jsonl"
    path.write_text("{}\nno json\n{}\n")

    with pytest.raises(Misconfigured, match=r"outbox\.jsonl, line 2: expected a JSON object"):
        Outbox(path)


def test_a_cleared_outbox_stays_clear(tmp_path: Path) -> None:
    path = tmp_path / "outbox.jsonl"
    outbox = Outbox(path)
    outbox.add(text(0))
    outbox.clear()
    outbox.close()

    returned = Outbox(path)

    assert returned.list_messages() == []
    returned.close()


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "outbox.jsonl"
    outbox = Outbox(path)
    outbox.add(text(0))
    outbox.close()

    assert path.stat().st_mode & 0o777 == 0o600


def test_a_closed_outbox_takes_nothing_more() -> None:
    outbox = Outbox()
    outbox.close()

    with pytest.raises(OutboxClosed):
        outbox.add(text(0))

    assert outbox.list_messages() == []
