"""What becomes of an accepted text, and which faults its status callbacks suffer."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

#: The statuses after acceptance. An error code belongs to the last of them.
_STATUSES: dict[str, tuple[str, ...]] = {
    "delivered": ("queued", "sending", "sent", "delivered"),
    "undelivered": ("queued", "sending", "sent", "undelivered"),
    "failed": ("queued", "sending", "failed"),
    "accepted_then_failed": ("failed",),
    "stuck_queued": ("queued",),
    "stuck_sent": ("queued", "sending", "sent"),
    "read": ("queued", "sending", "sent", "delivered", "read"),
    "partially_delivered": ("queued", "sending", "sent", "partially_delivered"),
}

_CODES = {"undelivered": 30003, "failed": 30001, "accepted_then_failed": 21610}

#: Names for a delivered text whose callbacks go wrong.
_FAULTY: dict[str, dict[str, object]] = {
    "lose_callbacks": {"lose": "all"},
    "duplicate": {"duplicate": 1},
    "reorder": {"reorder": True},
}

#: Later statuses have a higher rank; a message is never taken back to a lower one.
RANKS = {
    "accepted": 0,
    "scheduled": 0,
    "queued": 1,
    "sending": 2,
    "sent": 3,
    "delivered": 4,
    "undelivered": 4,
    "failed": 4,
    "canceled": 4,
    "partially_delivered": 4,
    "read": 5,
}

SENT = RANKS["sent"]


@dataclass(frozen=True)
class Event:
    """One moment of a life: the status then, and how many callbacks tell of it."""

    status: str
    error_code: int | None
    #: False when only a callback goes out, late or untrue, and the message stays as it is.
    changes: bool
    callbacks: int


class Life(BaseModel):
    """A rule of `/__sim/life`: a preset such as `delivered` or `undelivered(30003)`, and faults."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    life: str = "delivered"
    #: Instead of the preset's own code.
    error_code: int | None = None
    #: So many copies more of every callback.
    duplicate: int = Field(default=0, ge=0)
    lose: Literal["none", "all", "terminal"] = "none"
    #: The callbacks come last first.
    reorder: bool = False
    #: Real seconds before each status, instead of the sandbox's own pace.
    delay: float | None = Field(default=None, ge=0)
    #: The whole life is told before the create call is answered.
    before_response: bool = False
    signature: Literal["good", "bad", "none", "previous"] = "good"
    extra_fields: bool = False
    #: One more callback with this status at the end.
    unknown_status: str | None = None
    #: Callbacks name a message that nobody has created.
    unknown_sid: bool = False
    #: So many tries of each callback find nobody listening.
    target_down: int = Field(default=0, ge=0)

    @field_validator("life")
    @classmethod
    def _known(cls, life: str) -> str:
        name, _ = _split(life)
        if name not in _STATUSES and name not in _FAULTY:
            known = ", ".join([*_STATUSES, *_FAULTY])
            raise ValueError(f"expected one of {known}, with or without a code in brackets")
        return life

    def explicit(self) -> "Life":
        """The same life, with the faults of its name spelled out and the code in its name."""
        if self.life in _FAULTY:
            return self.model_copy(update={**_FAULTY[self.life], "life": "delivered"})
        name, code = _split(self.life)
        code = self.error_code or code or _CODES.get(name)
        return self.model_copy(update={"life": f"{name}({code})" if code else name})

    def events(self, status: str) -> list[Event]:
        """What lies ahead of a message of that status. The first status is never told of."""
        ahead = list(self._ahead(status))
        if self.reorder:
            ahead = [
                *(Event(event.status, event.error_code, True, 0) for event in ahead),
                *(Event(e.status, e.error_code, False, e.callbacks) for e in reversed(ahead)),
            ]
        if self.unknown_status is not None:
            ahead.append(Event(self.unknown_status, None, False, 1))
        return ahead

    def _ahead(self, status: str) -> Iterator[Event]:
        name, code = _split(self.life)
        statuses = _STATUSES[name]
        for following in statuses:
            if RANKS[following] > RANKS.get(status, 0):
                last = following == statuses[-1]
                error_code = code if last else None
                yield Event(following, error_code, True, self._callbacks(following))

    def _callbacks(self, status: str) -> int:
        is_lost = self.lose == "all" or (self.lose == "terminal" and RANKS[status] > SENT)
        return 0 if is_lost else 1 + self.duplicate


def _split(life: str) -> tuple[str, int | None]:
    """Name and code of `undelivered(30003)`."""
    found = re.fullmatch(r"(\w+)\((\d+)\)", life)
    return (found[1], int(found[2])) if found else (life, None)
