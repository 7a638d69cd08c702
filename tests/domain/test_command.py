"""What a text of the staff's own says, and that a doubtful one says nothing."""

from datetime import timedelta

import pytest

from followup.domain.command import Command, Verb, read_command

DONE, TRIED = Command("K7Q4", Verb.contacted), Command("K7Q4", Verb.attempt)


def snooze(**length: int) -> Command:
    return Command("K7Q4", Verb.snooze, timedelta(**length))


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("DONE K7Q4", DONE),
        ("done k7q4", DONE),
        (" Done  #K7Q4. ", DONE),
        ("K7Q4 done", DONE),
        ("Done K7 Q4, thanks", DONE),
        ("DONE K7Q4\n-- \nEve, Harbor Light", DONE),
        ("Listo k7q4 gracias", DONE),
        ("Contactada K7Q4", DONE),
        ("TRIED K7Q4", TRIED),
        ("Lo intenté K7Q4", TRIED),
        ("SNOOZE K7Q4 2h", snooze(hours=2)),
        ("snooze #k7q4 for 30 min", snooze(minutes=30)),
        ("K7Q4 later 1 day", snooze(days=1)),
        ("Posponer K7Q4 por 2 horas", snooze(hours=2)),
        ("posponer k7q4 1 día", snooze(days=1)),
        ("SNOOZE K7Q4", Command("K7Q4", Verb.snooze)),
        ("SNOOZE K7Q4 0h", snooze(hours=0)),
        ("#K7Q4", Command("K7Q4")),
        ("DONE K7Q4M3", Command("K7Q4M3", Verb.contacted)),
    ],
)
def test_a_command_is_read(text: str, command: Command) -> None:
    assert read_command(text) == command


@pytest.mark.parametrize(
    "text",
    [
        *("", "DONE", "Hello", "2h", "STOP", "DONE 7K4Q", "DONE K7"),
        *("not done K7Q4", "DONE K7Q4?? no wait TRIED", "done tried K7Q4", "done K7Q4 tried"),
        *("called K7Q4", "DONE K7Q4 and M3P9", "DONE K7Q4 2h", "K7Q4 2h", "SNOOZE K7Q4 2h30"),
        *("SNOOZE K7Q4 tomorrow", "SNOOZE K7Q4 -2h30", "snooze K7Q4 2 fortnights"),
        *("Is K7Q4 done?", "DONE K7Q4 " + "x" * 5000),
    ],
)
def test_what_says_more_or_less_is_no_command(text: str) -> None:
    command = read_command(text)

    assert command is None or command.verb is None
