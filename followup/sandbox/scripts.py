"""How the next create calls are to end: the rules of `POST /__sim/script`."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

ScriptName = Literal[
    "ok",
    "slow",
    "error",
    "throttle",
    "unavailable",
    "accept_then_drop",
    "drop_before",
    "accept_then_500",
    "500",
    "502_html",
    "504",
    "hang",
    "garbled",
]

#: Scripts whose message is stored, unless the rule says otherwise.
_STORING = frozenset({"ok", "slow", "accept_then_drop", "accept_then_500", "garbled"})


class Script(BaseModel):
    """One rule. What a script does not use is ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    script: ScriptName = "ok"
    #: For `slow` and `hang`, real seconds.
    seconds: float = Field(default=60, ge=0)
    #: For `error`: Twilio's code, the HTTP status and the wording.
    code: int = 20001
    status: int = Field(default=400, ge=400, le=599)
    message: str = "The sandbox was told to refuse this."
    #: For `error`: an RFC 9457 body instead of Twilio's own.
    problem_json: bool = False
    #: For `throttle`, seconds.
    retry_after: int | None = Field(default=None, ge=0)
    #: Whether the message is taken although the caller does not hear so.
    stored: bool | None = None

    @property
    def stores(self) -> bool:
        return self.script in _STORING if self.stored is None else self.stored
