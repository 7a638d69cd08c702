"""What the README says is what the code does."""

import json
import re
import shlex
from pathlib import Path

import pytest

from followup.domain.delivery import TRANSITIONS
from followup.domain.submission import Kind, read_submission

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_state_diagram_is_the_table_of_transitions() -> None:
    drawn = set(re.findall(r"^    (\w+) --> (\w+)", README, re.MULTILINE))

    assert drawn == {
        (status.value, following.value)
        for status, followings in TRANSITIONS.items()
        for following in followings
    }


@pytest.mark.parametrize("kind", Kind)
def test_the_curl_of_each_form_is_a_valid_submission(kind: Kind) -> None:
    command = re.search(rf"curl \S+/submissions/{kind} .*?'\n```", README, re.DOTALL)

    assert command is not None
    words = shlex.split(command[0].removesuffix("```"))
    form = read_submission(kind, json.loads(words[words.index("-d") + 1]))
    assert form.email
    assert form.phone
    assert form.consent_sms


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", "docs/operating.md", "docs/embedding.md"]
)
def test_every_link_to_a_file_leads_to_one(page: str) -> None:
    path = ROOT / page
    links = re.findall(r"\]\((?!https?:|#)([^)]+)\)", path.read_text(encoding="utf-8"))

    assert [link for link in links if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_file_that_is_named_is_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:domain|store|services|transports|web)/\w+\.py)`", text))

    assert [name for name in sorted(named) if not (ROOT / "followup" / name).exists()] == []
