"""A whole clinic behind a proxy, and what holds for it whatever happened to its broker."""

import socket
from functools import partial
from itertools import count

from tests.chaos.black_hole import BlackHole
from tests.crew import Crew
from tests.waiting import eventually

BOTH = ["email", "sms"]

#: The longest that what is due may wait for a broker that is back, in seconds.
PATIENCE = 40


class Clinic:
    """The API, a worker and a beat; each test has people of its own."""

    def __init__(self, crew: Crew, hole: BlackHole) -> None:
        self.crew, self.hole = crew, hole
        self._people = count(1)
        self.worker = crew.start_worker(processes=2)
        self.beat = crew.start_beat()
        self.api = crew.start_api()

    def assert_goes_on(self, *earlier: int) -> None:
        """Who comes by the form hears soon, and so does who came where nobody rings the bell: of
        them beat tells. Everybody, also who came earlier, hears once."""
        rung, unrung = self.meet(2)
        assert self.crew.post(rung)[0] == 202
        eventually(lambda: self.crew.are_acknowledged(rung), within=PATIENCE)
        self.crew.receive(unrung)
        eventually(lambda: self.crew.are_acknowledged(unrung), within=PATIENCE)

        everybody = (*earlier, rung, unrung)
        eventually(lambda: self.crew.are_acknowledged(*everybody), within=PATIENCE)
        eventually(self.crew.is_quiet, within=PATIENCE)
        assert [self.crew.acknowledgements(one) for one in everybody] == [BOTH] * len(everybody)
        assert not self.crew.ended

    def takes_at_once(self, *people: int) -> bool:
        """Whether submissions are all taken, without waiting for the broker.

        One that waited would take as long as the bell does, a second at the least; on a busy
        machine one may be late for another reason, but not every one.
        """
        answers = [self.crew.post(person) for person in people]
        return {status for status, _ in answers} == {202} and min(
            seconds for _, seconds in answers
        ) < 1

    def meet(self, number: int) -> list[int]:
        """That many people whom nobody else knows."""
        return [next(self._people) for _ in range(number)]

    def assert_answers_health_checks(self) -> None:
        """Beat takes a few seconds to be heard again, and a worker up to half a minute."""
        assert self.crew.readiness()["status"] == "ok"
        for node in ("worker0", "celerybeat"):
            eventually(partial(self.crew.probe, f"{node}@{socket.gethostname()}"), within=PATIENCE)
