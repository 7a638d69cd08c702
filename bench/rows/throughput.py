"""Submissions a second until both messages of each were accepted, providers 100 ms over TLS."""

from collections.abc import Sequence

from bench.figures import Line, Row
from bench.stage import Stage

ROW = Row(
    "throughput",
    "submissions a second to both accepted, providers 100 ms over TLS",
    "a burst of submissions, until the last of its messages was accepted",
)


def measure(stage: Stage) -> Sequence[Line]:
    raise NotImplementedError
