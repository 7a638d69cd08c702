"""The names of mail scripts, and where they take hold."""

import pytest
from pydantic import ValidationError

from followup.sandbox.mail_scripts import MailScript


@pytest.mark.parametrize(
    ("script", "step", "line"),
    [
        ("ok", "dot", None),
        ("drop_before_dot", "data", None),
        ("drop_after_dot", "dot", None),
        ("hang_after_dot", "dot", None),
        ("no_starttls", "helo", None),
        ("banner_421", "banner", "421 4.0.0"),
        ("helo_450", "helo", "450 4.2.0"),
        ("auth_535", "auth", "535 5.7.8"),
        ("auth_454", "auth", "454 4.7.0"),
        ("mail_550", "mail", "550 5.1.1"),
        ("rcpt_550", "rcpt", "550 5.1.1"),
        ("rcpt_552_5.2.2", "rcpt", "552 5.2.2"),
        ("rcpt_450", "rcpt", "450 4.2.0"),
        ("rcpt_451_greylist", "rcpt", "451 4.3.0 greylist"),
        ("data_554_5.7.1", "dot", "554 5.7.1"),
        ("data_451", "dot", "451 4.3.0"),
    ],
)
def test_a_name_says_where_and_what(script: str, step: str, line: str | None) -> None:
    rule = MailScript(script=script)

    assert rule.takes_hold_at == step
    assert (rule.refused is None) is (line is None)
    assert rule.refused is None or rule.refused.line.startswith(str(line))


def test_slowness_takes_hold_where_it_says() -> None:
    assert MailScript(script="slow", step="rcpt").takes_hold_at == "rcpt"


@pytest.mark.parametrize("script", ["", "rcpt", "rcpt_250", "rcpt_999", "dot_550", "explode"])
def test_an_unknown_script_is_refused(script: str) -> None:
    with pytest.raises(ValidationError, match="expected ok"):
        MailScript(script=script)
