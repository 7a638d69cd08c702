"""The files for Docker, which is not at hand: checked as data, and run here as they say."""

import re
import subprocess
import sys
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values

from followup.celery_settings import QUEUES
from followup.config import PREFIX, SENDING, Settings, read_settings
from followup.errors import Misconfigured
from tests.cluster import NODE, Cluster
from tests.composed import (
    APP,
    COMPOSE_FILE,
    ROOT,
    NotGiven,
    check_command,
    interpolate,
    read_compose,
    seconds,
)
from tests.schema import ENCRYPTION_KEYS

EXAMPLE = ROOT / ".env.example"

#: `NAME=value`, commented out or not.
SETTING = re.compile(r"^(?:# )?([A-Z_]+)=(.*)$", re.MULTILINE)

#: What nobody may have a default for.
SECRETS = {
    "POSTGRES_PASSWORD",
    "FOLLOWUP_SECRET_KEYS",
    "FOLLOWUP_ENCRYPTION_KEYS",
    "FOLLOWUP_TWILIO_AUTH_TOKENS",
    "FOLLOWUP_SMTP_URL",
}

#: What an operator who fills in the example writes; the account is the sandbox's.
FILLED_IN = {
    "POSTGRES_PASSWORD": "a-password-for-tests",
    "FOLLOWUP_SECRET_KEYS": "a-secret-for-tests-of-32-characters",
    "FOLLOWUP_ENCRYPTION_KEYS": ENCRYPTION_KEYS[0],
    "FOLLOWUP_PUBLIC_URL": "https://followup.example.com",
    "FOLLOWUP_SMTP_URL": "smtp://127.0.0.1:1",
    "FOLLOWUP_EMAIL_FROM": "Harbor Light Wellness <hello@example.com>",
    "FOLLOWUP_TWILIO_ACCOUNT_SID": "ACsandbox00000000000000000000000001",
    "FOLLOWUP_TWILIO_AUTH_TOKENS": "a-token-for-tests",
    "FOLLOWUP_TWILIO_FROM": "+19495550100",
}

ALICE = {
    "name": "Alice Example",
    "email": "alice@example.com",
    "phone": "+1 415 555 0101",
    "message": "Please call me.",
    "consent_sms": True,
}

SERVICES: dict[str, Any] = read_compose()["services"]
OURS = sorted(name for name, service in SERVICES.items() if "build" in service)
STAYING = sorted(name for name, service in SERVICES.items() if service["restart"] != "no")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nothing", "nothing"),
        ("${SET}", "here"),
        ("a ${SET} b ${SET}", "a here b here"),
        ("${UNSET}", ""),
        ("${SET:-other}", "here"),
        ("${UNSET:-other}", "other"),
        ("${EMPTY:-other}", "other"),
        ("${UNSET:-}", ""),
        ("${SET:?say so}", "here"),
        ("$$HOSTNAME", "$HOSTNAME"),
        ("$${SET}", "${SET}"),
    ],
)
def test_variables_are_replaced_as_compose_does(text: str, expected: str) -> None:
    assert interpolate(text, {"SET": "here", "EMPTY": ""}) == expected


@pytest.mark.parametrize("value", [{}, {"KEY": ""}])
def test_a_demanded_value_that_is_missing_or_empty_is_named(value: dict[str, str]) -> None:
    with pytest.raises(NotGiven, match="KEY: make one"):
        interpolate("${KEY:?make one}", value)


def test_a_dollar_that_compose_would_refuse_is_refused() -> None:
    with pytest.raises(ValueError, match="stray"):
        interpolate("ping $", {})


def test_the_file_is_valid_by_the_compose_specification() -> None:
    checker = (sys.executable, "-m", "check_jsonschema")

    done = subprocess.run(
        (*checker, "--builtin-schema", "vendor.compose-spec", COMPOSE_FILE),
        capture_output=True,
        text=True,
    )

    assert not done.returncode, done.stdout + done.stderr
    assert "version" not in read_compose()


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_what_a_service_waits_for_can_happen(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        if how["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[other]
        else:
            assert how["condition"] == "service_completed_successfully"
            assert SERVICES[other]["restart"] == "no"


def test_no_service_waits_for_itself_in_the_end() -> None:
    waits = {name: set(service.get("depends_on", ())) for name, service in SERVICES.items()}

    while free := [name for name, others in waits.items() if not others]:
        for name in free:
            del waits[name]
        waits = {name: others - set(free) for name, others in waits.items()}

    assert not waits


@pytest.mark.parametrize("name", STAYING)
def test_a_service_that_stays_is_checked_and_started_again(name: str) -> None:
    service = SERVICES[name]

    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"]
    # A check must be over before it is due again.
    assert seconds(service["healthcheck"]["timeout"]) < seconds(service["healthcheck"]["interval"])


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_no_service_runs_as_root_or_could_become_it(name: str) -> None:
    service = SERVICES[name]

    user = _last_user() if "build" in service else service["user"]

    assert user.partition(":")[0] not in {"", "0", "root"}
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged")


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_writes_to_its_volumes_only_and_its_log_ends(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"]
    assert {"max-size", "max-file"} <= set(service["logging"]["options"])


@pytest.mark.parametrize("name", OURS)
def test_our_services_are_one_image_below_an_init_and_have_time_to_stop(name: str) -> None:
    service = SERVICES[name]

    assert service["image"] == "followup"
    assert service["init"]
    assert seconds(service["stop_grace_period"]) >= 60
    assert [volume.split(":")[1:] for volume in service["volumes"]] == [
        [f"{APP}/clinic.toml", "ro"],
        [f"{APP}/templates", "ro"],
    ]


def test_nothing_but_the_api_is_reachable_and_only_from_this_machine() -> None:
    published = {name: ports for name, s in SERVICES.items() if (ports := s.get("ports"))}

    assert published == {"api": ["127.0.0.1:${FOLLOWUP_PORT:-8000}:8000"]}
    assert SERVICES["api"]["environment"]["FOLLOWUP_HOST"] == "0.0.0.0"  # noqa: S104 - inside
    assert SERVICES["api"]["environment"]["FOLLOWUP_PORT"] == "8000"
    assert {name: SERVICES[name]["networks"] for name in ("db", "redis")} == {
        "db": ["inside"],
        "redis": ["inside"],
    }
    assert read_compose()["networks"]["inside"] == {"internal": True}


def test_every_queue_has_its_worker_and_there_are_two_beats() -> None:
    commands = [service["command"] for service in SERVICES.values() if "command" in service]

    queues = [command[2] for command in commands if command[0] == "worker"]

    assert sorted(queues) == sorted(QUEUES)
    assert commands.count(["beat"]) == 2


@pytest.mark.parametrize("name", [name for name in OURS if name not in {"api", "migrate"}])
def test_a_worker_and_a_beat_are_asked_themselves(name: str) -> None:
    service = SERVICES[name]

    asked = NODE.match(interpolate(check_command(service)[-1], {}))

    # A worker is called as its queues are, a beat as Celery calls it.
    words = service["command"]
    assert asked
    assert asked[1] == (words[2] if words[0] == "worker" else "celerybeat")


@pytest.mark.parametrize("missing", sorted(SECRETS))
def test_compose_refuses_to_start_without_a_secret_and_names_it(missing: str) -> None:
    with pytest.raises(NotGiven, match=missing):
        read_compose({**FILLED_IN, missing: ""})


def test_no_secret_is_written_in_the_file() -> None:
    text = COMPOSE_FILE.read_text(encoding="utf-8")

    for name in SECRETS:
        uses = re.findall(rf"\$\{{{name}(.?.?)", text)
        assert uses
        assert set(uses) == {":?"}
        assert not re.search(rf"{name}: (?!\$\{{)", text)


def test_compose_demands_nothing_that_the_example_does_not_list() -> None:
    used = set(re.findall(r"\$\{(\w+)", COMPOSE_FILE.read_text(encoding="utf-8")))

    assert used <= set(_example())


def test_the_example_lists_every_setting_and_invents_none() -> None:
    listed = [name for name, _ in _listed()]

    assert sorted(listed) == sorted({*_names_of_settings(), "POSTGRES_PASSWORD"})


def test_the_example_explains_every_setting_in_the_line_above() -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()

    for before, line in pairwise(lines):
        if SETTING.match(line):
            assert before.startswith("# "), line
            assert not SETTING.match(before), line


def test_the_example_as_it_stands_starts_nothing_and_names_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _forget_own_settings(monkeypatch)

    with pytest.raises(Misconfigured) as refused:
        read_settings(EXAMPLE).checked(*SENDING)

    assert all(name in str(refused.value) for name in SECRETS if name.startswith(PREFIX))
    assert not any(dotenv_values(EXAMPLE)[name] for name in SECRETS)


def test_what_the_example_comments_out_would_be_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _forget_own_settings(monkeypatch)
    env_file = tmp_path / ".env"
    env_file.write_text("\n".join(f"{name}={value}" for name, value in _example().items()))

    settings = read_settings(env_file)

    assert settings.clock_rate == 720
    assert settings.port == 8000


def test_the_example_tells_how_to_make_keys_that_are_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _forget_own_settings(monkeypatch)
    programs = re.findall(r"^#   python3 -c '(.+)'$", EXAMPLE.read_text("utf-8"), re.MULTILINE)
    made = [subprocess.check_output((sys.executable, "-c", code), text=True) for code in programs]
    env_file = tmp_path / ".env"
    env_file.write_text(
        f"FOLLOWUP_SECRET_KEYS={made[0]}\nFOLLOWUP_ENCRYPTION_KEYS={made[1]}\n", encoding="utf-8"
    )

    settings = read_settings(env_file)

    assert len(settings.secret_keys) == len(settings.encryption_keys) == 1
    # It becomes part of a URL.
    assert re.fullmatch(r"[\w-]{32,}", made[0].strip())


def test_the_image_takes_nothing_in_but_what_it_copies() -> None:
    copied = set(re.findall(r"^COPY (?!--from)(\S+)", _dockerfile(), re.MULTILINE))
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()

    assert "*" in ignore
    assert {line.removeprefix("!") for line in ignore if line.startswith("!")} == copied
    assert all((ROOT / source).exists() for source in copied)


def test_the_image_is_built_from_hashed_wheels_and_runs_the_command() -> None:
    text = _dockerfile()

    assert "--require-hashes --only-binary :all:" in text
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"python:3.13-slim"}
    assert re.search(r'^ENTRYPOINT \["followup"\]$', text, re.MULTILINE)
    assert re.search(rf"^WORKDIR {APP}$", text, re.MULTILINE)
    assert re.search(r"^STOPSIGNAL SIGTERM$", text, re.MULTILINE)


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("native_redis_url")
def test_every_service_runs_as_the_file_says_sends_and_stops_in_time(
    short_directory: Path,
) -> None:
    with ExitStack() as stack:
        cluster = Cluster(short_directory, FILLED_IN, stack)
        assert cluster.find_unhealthy(["db", "redis"]) == []
        assert cluster.ask_redis("maxmemory-policy", "appendonly") == ["noeviction", "yes"]

        cluster.migrate()
        cluster.start()
        cluster.wait_until_all_answer(within=120)
        assert cluster.find_unhealthy(["api", "worker-ack"]) == []

        cluster.submit(ALICE)
        for address in ("+14155550101", "alice@example.com", "frontdesk@example.com"):
            cluster.wait_for_message(to=address, within=30)

        cluster.stop_services()
        assert cluster.find_unhealthy(["api", "beat-1"]) == ["api", "beat-1"]
        assert cluster.list_files() == ["clinic.toml", "templates"]

        cluster.stop_stores()
        assert cluster.find_unhealthy(["db", "redis"]) == ["db", "redis"]


def _dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text(encoding="utf-8")


def _last_user() -> str:
    return str(re.findall(r"^USER (\S+)$", _dockerfile(), re.MULTILINE)[-1])


def _listed() -> list[tuple[str, str]]:
    return SETTING.findall(EXAMPLE.read_text(encoding="utf-8"))


def _example() -> dict[str, str]:
    return dict(_listed())


def _names_of_settings() -> set[str]:
    return {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}


def _forget_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _names_of_settings():
        monkeypatch.delenv(name, raising=False)
