"""How the next mails are to end: the rules of `POST /__sim/mail-script`."""

import re
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Step = Literal["banner", "helo", "auth", "mail", "rcpt", "data", "dot"]

_REFUSAL = re.compile(
    r"(banner|helo|auth|mail|rcpt|data)_([45]\d\d)(?:_([45]\.\d{1,3}\.\d{1,3}))?(?:_(\w+))?"
)

#: Where the scripts that are no refusals take hold.
_STEPS: dict[str, Step] = {
    "ok": "dot",
    "no_starttls": "helo",
    "drop_before_dot": "data",
    "drop_after_dot": "dot",
    "hang_after_dot": "dot",
}

#: RFC 3463 codes for those refusals whose script names none.
_ENHANCED = {
    "535": "5.7.8",
    "454": "4.7.0",
    "550": "5.1.1",
    "552": "5.2.2",
    "554": "5.7.1",
    "450": "4.2.0",
    "451": "4.3.0",
    "452": "4.2.2",
}


@dataclass(frozen=True)
class Refused:
    """A refusal as it goes over the wire."""

    step: str
    line: str


class MailScript(BaseModel):
    """One rule: `ok`, `slow`, `drop_before_dot`, `drop_after_dot`, `hang_after_dot`,
    `no_starttls`, or a refusal such as `rcpt_550_5.1.1`, `data_451` or `auth_535`.

    Refusals of the content (`data_…`) come after the final dot. Before a recipient is known,
    only rules for `*` serve.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    script: str = "ok"
    #: For `slow`: before the answer to this step.
    step: Step = "dot"
    #: For `slow` and `hang_after_dot`, real seconds.
    seconds: float = Field(default=60, ge=0)

    @field_validator("script")
    @classmethod
    def _known(cls, script: str) -> str:
        if script != "slow" and script not in _STEPS and not _REFUSAL.fullmatch(script):
            known = ", ".join([*_STEPS, "slow"])
            raise ValueError(f"expected {known}, or a refusal such as rcpt_550_5.1.1")
        return script

    @property
    def takes_hold_at(self) -> str:
        if self.script == "slow":
            return self.step
        refused = self.refused
        if refused is None:
            return _STEPS[self.script]
        return "dot" if refused.step == "data" else refused.step

    @property
    def refused(self) -> Refused | None:
        found = _REFUSAL.fullmatch(self.script)
        if found is None:
            return None
        step, code, enhanced, words = found.groups()
        enhanced = enhanced or _ENHANCED.get(code, f"{code[0]}.0.0")
        return Refused(step, f"{code} {enhanced} {words or 'refused by script'}")
