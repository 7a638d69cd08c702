"""A source of forms without its secret is named, by `doctor` and by the API that does not start."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from followup.clinic import read_clinic
from followup.clinic_sources import check_secrets
from followup.config import Settings
from followup.errors import Misconfigured
from tests.cli.running import ROOT, Run, one_line

SOURCES = """
[[sources]]
name = "site"
vendor = "typeform"
form = "contact"

[[sources]]
name = "blog"
vendor = "generic"
form = "contact"

[[sources]]
name = "hook"
vendor = "standard"
form = "contact"
"""
KEY = "a-key-of-thirty-two-characters-or-more"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
WRONG = {
    "none": ("", "site: is missing; FORM_SECRETS: blog: is missing"),
    "one": (f"blog={KEY};hook={WHSEC}", "site: is missing"),
    "empty": (f"site=;blog={KEY};hook={WHSEC}", "site: is empty"),
    "one of two empty": (f"site=x,;blog={KEY};hook={WHSEC}", "site: is empty"),
    "short": (f"site=x;blog=short;hook={WHSEC}", "blog: must have at least 32 characters"),
    "no key": (f"site=x;blog={KEY};hook=whsec_", "hook: must be whsec_ and a key in base64"),
    "no base64": (f"site=x;blog={KEY};hook=whsec_!", "hook: must be whsec_ and a key in base64"),
    "unknown": (f"site=x;blog={KEY};hook={WHSEC};old=x", "old: clinic.toml has no such"),
}


@pytest.fixture
def clinic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> Path:
    text = (ROOT / "clinic.toml").read_text(encoding="utf-8")
    path = tmp_path / "clinic.toml"
    path.write_text(text + SOURCES, encoding="utf-8")
    monkeypatch.setenv("FOLLOWUP_CLINIC_FILE", str(path))
    return path


def check(path: Path, secrets: str) -> None:
    settings = Settings.model_validate({"form_secrets": secrets})
    check_secrets(read_clinic(path).sources, settings.form_secrets, "FORM_SECRETS")


@pytest.mark.parametrize(("secrets", "problem"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_with_a_secret_is_named(clinic: Path, secrets: str, problem: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        check(clinic, secrets)

    assert str(refused.value).startswith(f"FORM_SECRETS: {problem}")


def test_a_secret_may_end_in_equals_and_have_an_older_one(clinic: Path) -> None:
    check(clinic, f"site=x==,y; blog={KEY}; hook={WHSEC}")


def test_doctor_names_what_is_missing(
    run: Run, engine: Engine, clinic: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOLLOWUP_FORM_SECRETS", f"site=x;hook={WHSEC}")

    checks = {one["check"]: one for one in run("doctor", "--json").json["checks"]}

    assert checks["sources"] == {
        "check": "sources",
        "ok": False,
        "says": "FOLLOWUP_FORM_SECRETS: blog: is missing",
    }


def test_the_api_does_not_start_without_the_secret_of_a_source(
    run: Run, engine: Engine, clinic: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "BROKER_URL": "redis://127.0.0.1:1/0",
        "SECRET_KEYS": KEY,
        "PUBLIC_URL": "https://followup.example.com",
        "TWILIO_AUTH_TOKENS": "token",
        "PORT": "0",
    }.items():
        monkeypatch.setenv(f"FOLLOWUP_{name}", value)

    ran = run("api")

    assert ran.status == 2
    assert "FOLLOWUP_FORM_SECRETS: site: is missing" in one_line(ran)
