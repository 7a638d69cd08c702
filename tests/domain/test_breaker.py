"""A paused channel is tried again soon at first, then ever more rarely, and never given up."""

from itertools import pairwise

from followup.domain.breaker import PROBE_DELAYS, probe_delay


def test_each_failed_probe_makes_the_next_one_wait_longer() -> None:
    delays = [probe_delay(probes) for probes in range(len(PROBE_DELAYS))]

    assert all(earlier < later for earlier, later in pairwise(delays))


def test_a_channel_that_stays_down_is_tried_as_often_as_at_the_last() -> None:
    assert {probe_delay(probes) for probes in (4, 5, 6, 1000)} == {PROBE_DELAYS[-1]}
