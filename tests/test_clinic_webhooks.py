"""`[[webhooks]]` of clinic.toml: which systems are told what happened, and where."""

from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from followup.clinic import read_clinic
from followup.clinic_webhooks import WebhookSecrets
from followup.domain.announcement import Event
from followup.errors import Misconfigured

SHIPPED = Path(__file__).parent.parent / "clinic.toml"
OFFICE = '[[webhooks]]\nname = "office"\nurl = "https://hooks.example.com/f"\n'


def _with(tmp_path: Path, tables: str) -> Path:
    path = tmp_path / "clinic.toml"
    path.write_text(f"{SHIPPED.read_text(encoding='utf-8')}\n{tables}", encoding="utf-8")
    return path


def test_a_webhook_is_told_everything_by_id_unless_the_clinic_says_otherwise(
    tmp_path: Path,
) -> None:
    (office, local) = read_clinic(
        _with(
            tmp_path,
            OFFICE + '[[webhooks]]\nname = "local"\nurl = "http://127.0.0.1:9000/"\n'
            'events = ["lead.created"]\ndetails = true\n',
        )
    ).webhooks

    assert (sorted(office.events), office.details) == (sorted(Event), False)
    assert (list(local.events), local.details) == ([Event.lead_created], True)


def test_the_shipped_files_example_of_a_webhook_is_valid(tmp_path: Path) -> None:
    shipped = SHIPPED.read_text(encoding="utf-8")
    start = shipped.index("# [[webhooks]]")
    example = shipped[start : shipped.index("\n\n", start)]
    tables = "\n".join(line.removeprefix("# ") for line in example.splitlines())

    assert read_clinic(_with(tmp_path, tables)).webhooks[0].name == "front-office"


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        pytest.param(OFFICE.replace("https", "http"), "webhooks[0].url: expected an address",
                     id="without TLS"),
        pytest.param(OFFICE.replace("hooks.", "me:word@hooks."), "webhooks[0].url: expected an ad",
                     id="with a password"),
        pytest.param(OFFICE.replace("/f", "/f#part"), "webhooks[0].url: expected an ad",
                     id="with a part"),
        pytest.param(OFFICE.replace("https://hooks.example.com/f", "file:///etc/passwd"),
                     "webhooks[0].url: expected an address", id="no web address"),
        pytest.param(OFFICE + 'events = ["lead.lost"]', "webhooks[0].events", id="no such event"),
        pytest.param(OFFICE + "events = []", "webhooks[0].events", id="no event"),
        pytest.param(OFFICE.replace("office", "Front Office"), "webhooks[0].name", id="a bad name"),
        pytest.param(OFFICE + OFFICE, "webhooks: expected a different name", id="twice"),
        pytest.param(OFFICE + "secret = 1", "webhooks[0].secret: there is no such key",
                     id="a secret that does not belong there"),
    ],
)  # fmt: skip
def test_a_wrong_webhook_is_named(tmp_path: Path, tables: str, expected: str) -> None:
    path = _with(tmp_path, tables)

    with pytest.raises(Misconfigured) as refused:
        read_clinic(path)

    assert str(refused.value).startswith(f"{path}: {expected}")


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param("whsec_", id="nothing behind the prefix"),
        pytest.param("whsec_c2hvcnQ=", id="too short"),
        pytest.param("whsec_" + "A" * 88, id="too long"),
        pytest.param("whsec_$$$$", id="no base64"),
        pytest.param("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", id="no prefix"),
    ],
)
def test_a_secret_of_ours_is_made_by_the_rules(secret: str) -> None:
    with pytest.raises(ValidationError, match="of office must be whsec_ and 24 to 64 bytes"):
        TypeAdapter(WebhookSecrets).validate_python(f"office=whsec_{'A' * 32},{secret}")
