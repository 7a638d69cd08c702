"""Staff mark leads contacted while their reminders flow: whatever begins afterwards was named."""

import pytest

from tests.chaos.race import PEOPLE_AT_ONCE, open_race

RACES, RACES_LONG = 60, 1000


@pytest.mark.timeout(900)
def test_no_reminder_begins_after_the_answer_unless_it_was_named(
    database_url: str, is_long: bool
) -> None:
    races = RACES_LONG if is_long else RACES
    with open_race(database_url) as race:
        for _ in range(races // PEOPLE_AT_ONCE):
            race.run()

        assert race.late() == []
        assert len(race.marks) == races
        # Each side was first now and then: otherwise this was no race.
        assert any(mark.in_flight for mark in race.marks)
        assert any(row.status == "cancelled" for row in race.desk.rows(step="reminder"))
        assert race.provider.begun
