"""Paces a channel's sender: what would wait at the provider, in the order of its coming, waits here
instead, where an acknowledgement goes first.

A claim takes its tokens in its own transaction, so that no two workers take the same ones, and a
process that dies between claim and call wastes those alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from followup.domain.cadence import Channel, Lane
from followup.domain.rate import Rate
from followup.domain.sms import count_segments
from followup.errors import FollowupError
from followup.store import rates
from followup.store.db import real_now
from followup.transports.base import Outgoing


@dataclass(frozen=True)
class Pace:
    """A sender as its provider counts it, such as a number, and what it may send."""

    sender: str
    rate: Rate


class Overtaken(FollowupError):
    """Another worker took the tokens meanwhile: the claim is to be undone."""


def tokens(session: Session, pace: Pace | None, lane: Lane, wanted: int) -> int:
    """How many of so many messages may be claimed now. Locks nothing."""
    if pace is None:
        return wanted
    room = pace.rate.room(lane, rates.next_at(session, pace.sender), real_now(session))
    return min(wanted, room)


def take_tokens(
    session: Session, pace: Pace | None, lane: Lane, channel: Channel, messages: Sequence[Outgoing]
) -> list[float] | None:
    """In how many seconds each message may begin; None where nothing is paced.

    At the end of the claim, because the sender is locked until that is committed: a worker that is
    frozen amid a claim must not hold up everybody. Raises Overtaken.
    """
    if pace is None or not messages:
        return None
    row = rates.lock_rate(session, pace.sender, real_now(session))
    now = real_now(session)
    costs = [_cost(channel, message) for message in messages]
    slots, row.next_at = pace.rate.take(lane, row.next_at, now, costs)
    if not slots:
        raise Overtaken
    return [(slot - now).total_seconds() for slot in slots]


def _cost(channel: Channel, message: Outgoing) -> int:
    """Twilio counts the parts of a text, not texts
    (twilio.com/help/faq/sms/how-quickly-can-i-send-sms-messages)."""
    return max(1, count_segments(message.text).parts) if channel is Channel.sms else 1
