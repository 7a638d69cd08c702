"""Staff mark leads contacted while their reminders flow: whatever begins afterwards was named. Of
two who mark one lead at the same moment, one wins and the other is told who."""

from collections import Counter

import pytest

from tests.chaos.race import FRONT_DESK, PEOPLE_AT_ONCE, open_doors, open_race

RACES, RACES_LONG = 60, 1000
MEETINGS, MEETINGS_LONG = 9, 300


@pytest.mark.timeout(900)
def test_no_reminder_begins_after_the_answer_unless_it_was_named(
    database_url: str, is_long: bool
) -> None:
    races = RACES_LONG if is_long else RACES
    with open_race(database_url) as race:
        for _ in range(races // PEOPLE_AT_ONCE):
            race.run()
        # On a busy machine a mark may meet no call for a while.
        while not any(mark.in_flight for mark in race.marks) and len(race.marks) < 5 * races:
            race.run()

        assert race.late() == []
        assert len(race.marks) >= races
        # Each side was first now and then: otherwise this was no race.
        assert any(mark.in_flight for mark in race.marks)
        assert any(row.status == "cancelled" for row in race.desk.rows(step="reminder"))
        assert race.provider.begun


@pytest.mark.timeout(900)
def test_of_a_phone_s_done_and_a_click_at_once_one_wins_and_the_other_is_told_who(
    database_url: str, is_long: bool
) -> None:
    wins: Counter[str] = Counter()
    with open_doors(database_url) as doors:
        for _ in range(MEETINGS_LONG if is_long else MEETINGS):
            winner, clicked, answered = doors.run()

            wins[winner] += 1
            assert (clicked, answered) == (winner, winner)
    # Each side was first now and then: otherwise this was no race.
    assert wins.keys() == {"Ann", FRONT_DESK}
