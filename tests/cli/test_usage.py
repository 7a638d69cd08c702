"""Every command's help, and one line and status 2 for what is wrong before it begins."""

import pytest

from tests.cli.running import Run, one_line


@pytest.mark.parametrize(
    "arguments",
    [
        *[(name,) for name in ("up", "api", "worker", "beat", "migrate", "doctor", "submit")],
        *[
            (name,)
            for name in ("replay", "import", "simulate", "sandbox", "leads", "staff", "templates")
        ],
        *[("leads", name) for name in ("list", "show", "contacted", "attempt", "reopen")],
        *[("leads", name) for name in ("release", "reject")],
        *[("submissions", name) for name in ("spam", "problems", "release", "reject")],
        *[("staff", name) for name in ("add", "list", "disable", "token")],
        *[("templates", name) for name in ("check", "preview", "send-test")],
        (),
    ],
    ids=" ".join,
)
def test_every_command_has_its_help(run: Run, arguments: tuple[str, ...]) -> None:
    ran = run(*arguments, "--help")

    assert ran.status == 0
    assert f"Usage: followup {' '.join(arguments)}".strip() in ran.out


@pytest.mark.parametrize(
    "arguments",
    [
        *[("rubbish",), ("leads", "rubbish"), ("submit",), ("leads", "list", "--status", "x")],
        ("worker", "--beat"),
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(run: Run, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).status == 2


@pytest.mark.parametrize("command", ["migrate", "leads list", "api", "worker", "beat", "sandbox"])
def test_what_is_not_set_is_named_in_one_line(run: Run, command: str) -> None:
    ran = run(*command.split())

    assert ran.status == 2
    assert "missing setting" in one_line(ran)


@pytest.mark.parametrize("command", ["leads list", "templates check", "simulate", "api"])
def test_a_wrong_setting_is_named_in_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("FOLLOWUP_PORT", "http")

    ran = run(*command.split())

    assert ran.status == 2
    assert one_line(ran).startswith("followup: FOLLOWUP_PORT ")
