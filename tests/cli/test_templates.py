"""`followup templates`: what is wrong with the wording, and what it looks like."""

from pathlib import Path

import pytest

from followup.clinic import read_clinic
from followup.config import Settings
from followup.domain.cadence import TO_PATIENTS, Channel
from followup.templates import Templates, sample_facts
from tests.cli.running import ROOT, Run, one_line


def test_the_shipped_templates_have_no_problems(run: Run) -> None:
    assert run("templates", "check").out == "no problems\n"
    assert run("templates", "check", "--json").json == []


def test_a_broken_template_is_named_by_file_and_line(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    templates = tmp_path / "templates"
    for file in (ROOT / "templates").rglob("*"):
        if file.is_file():
            copy = templates / file.relative_to(ROOT / "templates")
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())
    broken = templates / "contact" / "acknowledgement.sms.en.txt"
    broken.write_text("{{ nonsense }}\n")
    monkeypatch.setenv("FOLLOWUP_TEMPLATES_DIR", str(templates))

    ran = run("templates", "check")

    assert ran.status == 1
    assert f"{broken}:1" in ran.out
    assert run("templates", "check", "--json").json


def test_a_message_is_previewed_by_the_renderer_that_sends(run: Run) -> None:
    mail = run("templates", "preview", "contact", "acknowledgement")
    text = run("templates", "preview", "contact", "acknowledgement", "--channel", "sms")
    html = run("templates", "preview", "contact", "acknowledgement", "--html")

    assert mail.out.startswith("Subject: ")
    assert "988" in mail.out
    assert "Subject:" not in text.out
    assert "(949) 555-0100" in text.out
    assert html.out.lstrip().startswith("<")


@pytest.mark.parametrize("channel", TO_PATIENTS)
def test_a_preview_is_word_for_word_what_is_sent(run: Run, channel: Channel) -> None:
    """The composer of real sends and `send-test` have no other renderer than this."""
    clinic = read_clinic(ROOT / "clinic.toml")
    sent = Templates.read(ROOT / "templates", clinic).render(
        cadence="contact",
        step="acknowledgement",
        channel=channel,
        language="en",
        role="patient",
        facts=sample_facts(clinic, "en", Settings.model_fields["public_url"].default)[0],
    )

    shown = run("templates", "preview", "contact", "acknowledgement", "--channel", channel).out

    head = f"Subject: {sent.subject}\n\n" if sent.subject else ""
    assert shown == f"{head}{sent.text}\n"


def test_a_preview_of_what_does_not_exist_is_a_no(run: Run) -> None:
    ran = run("templates", "preview", "contact", "nonsense")

    assert ran.status == 1
    assert "no wording for contact/nonsense" in one_line(ran)
