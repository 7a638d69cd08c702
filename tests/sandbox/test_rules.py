"""Rules by address are used up in order."""

from followup.sandbox.rules import ANY, Rules

ALICE = "+14155550101"
BOB = "+14155550102"


def test_a_rule_serves_as_often_as_it_says_and_then_the_next_does() -> None:
    rules: Rules[str] = Rules()
    rules.add(ALICE, "first", times=2)
    rules.add(ALICE, "second", times=1)

    assert [rules.take(ALICE) for _ in range(4)] == ["first", "first", "second", None]


def test_an_addresss_own_rule_goes_before_the_one_for_all() -> None:
    rules: Rules[str] = Rules()
    rules.add(ANY, "all")
    rules.add(ALICE, "own", times=1)

    assert [rules.take(ALICE), rules.take(ALICE), rules.take(BOB)] == ["own", "all", "all"]


def test_a_later_standing_rule_replaces_an_earlier_one() -> None:
    rules: Rules[str] = Rules()
    rules.add(ALICE, "old")
    rules.add(ALICE, "new")

    assert [rules.take(ALICE), rules.take(ALICE)] == ["new", "new"]


def test_a_rule_that_does_not_suit_is_kept_for_later() -> None:
    rules: Rules[str] = Rules()
    rules.add(ALICE, "rcpt", times=1)

    assert rules.take(ALICE, lambda rule: rule == "data") is None
    assert rules.take(ALICE, lambda rule: rule == "rcpt") == "rcpt"


def test_cleared_rules_are_gone() -> None:
    rules: Rules[str] = Rules()
    rules.add(ANY, "all")
    rules.clear()

    assert rules.take(ALICE) is None
