"""Twilio's own words, and which pairs they block."""

import pytest

from followup.sandbox.opt_outs import OptOuts, classify

ALICE = "+14155550101"
CLINIC = "+19495550100"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("STOP", "STOP"),
        (" stop \n", "STOP"),
        ("StopAll", "STOP"),
        ("unsubscribe", "STOP"),
        ("cancel", "STOP"),
        ("END", "STOP"),
        ("quit", "STOP"),
        ("revoke", "STOP"),
        ("optout", "STOP"),
        ("start", "START"),
        ("yes", "START"),
        ("unstop", "START"),
        ("help", "HELP"),
        ("info", "HELP"),
        ("please stop", None),
        ("opt out", None),
        ("Thanks!", None),
        ("", None),
    ],
)
def test_only_a_whole_message_is_a_word(body: str, kind: str | None) -> None:
    assert classify(body) == kind


@pytest.mark.parametrize(
    ("kinds", "is_opted_out"),
    [
        ([], False),
        (["STOP"], True),
        (["STOP", "START"], False),
        (["STOP", "HELP"], True),
        (["HELP"], False),
        ([None], False),
        (["START", "STOP"], True),
    ],
)
def test_the_last_stop_or_start_counts(kinds: list[str | None], is_opted_out: bool) -> None:
    opt_outs = OptOuts()
    for kind in kinds:
        opt_outs.apply(kind, ALICE, (CLINIC, None))

    assert opt_outs.is_opted_out(ALICE, CLINIC) is is_opted_out
    assert not opt_outs.is_opted_out(ALICE, "+19495550101")
    assert not opt_outs.is_opted_out("+14155550102", CLINIC)
