"""The folder as a whole: complete or refused, and the right wording for each lead."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from jinja2 import UndefinedError

from followup.clinic import Clinic
from followup.domain.answer import Answer
from followup.domain.cadence import Channel
from followup.errors import Misconfigured, NotFound
from followup.templates import Message, Templates, check_templates, pages_environment
from followup.templates.lint import sample_facts


@pytest.fixture(scope="module")
def templates(shipped: Path, shipped_clinic: Clinic) -> Templates:
    return Templates.read(shipped, shipped_clinic)


def _render(templates: Templates, clinic: Clinic, **chosen: Any) -> Message:
    usual = {
        "cadence": "contact",
        "step": "acknowledgement",
        "channel": Channel.email,
        "language": "en",
        "role": "patient",
        "facts": sample_facts(clinic, "en")[0],
    }
    return templates.render(**(usual | chosen))


@pytest.mark.parametrize(
    ("chosen", "name"),
    [
        pytest.param({}, "contact/acknowledgement.email.en", id="the usual"),
        pytest.param({"language": "es"}, "contact/acknowledgement.email.es", id="Spanish"),
        pytest.param({"language": "fr"}, "contact/acknowledgement.email.en", id="no such language"),
        pytest.param({"role": "referrer"}, "contact/acknowledgement.email.en.referrer",
                     id="referrer"),
        pytest.param({"channel": Channel.sms}, "contact/acknowledgement.sms.en", id="text"),
        pytest.param({"cadence": "screening"}, "screening/acknowledgement.email.en",
                     id="screening"),
        pytest.param({"step": "alert", "language": "es", "role": "referrer"},
                     "contact/alert.email.en", id="staff read the clinic's language"),
    ],
)  # fmt: skip
def test_each_lead_gets_its_own_wording(
    templates: Templates, clinic: Clinic, chosen: dict[str, Any], name: str
) -> None:
    assert _render(templates, clinic, **chosen).wording.partition("@")[0] == name


@pytest.mark.parametrize(
    "chosen", [{"cadence": "survey"}, {"step": "birthday"}], ids=["cadence", "step"]
)
def test_a_step_that_is_no_more_has_no_wording(
    templates: Templates, clinic: Clinic, chosen: dict[str, Any]
) -> None:
    with pytest.raises(NotFound, match="no wording for"):
        _render(templates, clinic, **chosen)


def test_an_acknowledgement_greets_promises_and_helps(templates: Templates, clinic: Clinic) -> None:
    facts = sample_facts(clinic, "en")[0] | {"when": "today by 4:30 PM"}

    message = _render(templates, clinic, facts=facts)

    assert message.text.startswith("Hello Alice,\n")
    assert "today by 4:30 PM" in message.text
    assert "call or text 988 (24/7), or call 911" in message.text
    assert message.html is not None
    assert '<a href="tel:+19495550100"' in message.html
    assert '<html lang="en">' in message.html


def test_a_referrer_is_thanked_and_not_taken_for_the_patient(
    templates: Templates, clinic: Clinic
) -> None:
    text = _render(templates, clinic, role="referrer").text

    assert "about the person you wrote for" in text
    assert "If you are in crisis" not in text


def test_a_variant_for_referrers_is_the_staffs_to_have(folder: Path, clinic: Clinic) -> None:
    own = "{{ sender_label }}: Referrer {{ reference }} is waiting. {{ link }}\n"
    (folder / "contact/alert.sms.en.referrer.txt").write_text(own)
    templates = Templates.read(folder, clinic)

    message = _render(templates, clinic, step="alert", channel=Channel.sms, role="referrer")

    assert message.text.startswith("Harbor Light Wellness: Referrer K7Q4")


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        pytest.param("contact/acknowledgement.sms.es.txt", "is missing", id="language"),
        pytest.param("contact/not-forgotten.email.en.referrer.md", "is missing", id="role"),
        pytest.param("contact/alert.email.en.md", "is missing", id="staff"),
        pytest.param("footer.es.md", "is missing", id="footer"),
        pytest.param("email.html", "is missing", id="page"),
    ],
)  # fmt: skip
def test_a_missing_file_is_named(folder: Path, clinic: Clinic, file: str, expected: str) -> None:
    (folder / file).unlink()

    (problem,) = check_templates(folder, clinic)

    assert problem.file == folder / file
    assert expected in problem.message


def test_a_cadence_that_a_form_names_must_be_there(folder: Path, shipped_clinic: Clinic) -> None:
    (problem,) = check_templates(folder, shipped_clinic)

    assert problem.file == folder / "screening/cadence.toml"
    assert "clinic.toml names it: forms.screening.cadence" in problem.message


def test_how_staff_are_told_of_the_services_trouble_must_be_there(
    folder: Path, clinic: Clinic
) -> None:
    shutil.rmtree(folder / "alarms")

    (problem,) = check_templates(folder, clinic)

    assert problem.file == folder / "alarms/cadence.toml"
    assert problem.message.startswith("is missing; it says how staff are told")


@pytest.mark.parametrize("step", ["raised", "over"])
def test_alarms_have_both_their_steps(folder: Path, clinic: Clinic, step: str) -> None:
    path = folder / "alarms/cadence.toml"
    path.write_text(path.read_text().replace(f'name = "{step}"', 'name = "other"'))
    for wording in (folder / "alarms").glob(f"{step}.*"):
        wording.rename(wording.with_name(wording.name.replace(step, "other", 1)))

    (problem,) = check_templates(folder, clinic)

    assert (problem.file, problem.message) == (path, f"expected a step {step!r}")


@pytest.mark.parametrize("name", ["reference", "waiting", "link", "first_name", "when"])
@pytest.mark.parametrize("file", ["raised.email.en.md", "raised.sms.en.txt", "over.email.en.md"])
def test_an_alarm_may_say_nothing_of_a_lead(
    folder: Path, clinic: Clinic, file: str, name: str
) -> None:
    path = folder / "alarms" / file
    path.write_text(f"{path.read_text()}{{{{ {name} }}}}\n")

    problems = check_templates(folder, clinic)

    assert {problem.file for problem in problems} == {path}
    assert any(repr(name) in problem.message for problem in problems)


def test_an_alert_about_a_lead_may_say_nothing_of_alarms(folder: Path, clinic: Clinic) -> None:
    path = folder / "contact/alert.email.en.md"
    path.write_text(f"{path.read_text()}{{{{ alarm }}}}\n")

    (problem,) = check_templates(folder, clinic)

    assert problem.file == path
    assert "'alarm'" in problem.message


def test_a_fallback_needs_its_wording(folder: Path, clinic: Clinic) -> None:
    path = folder / "contact/cadence.toml"
    by_text = path.read_text().replace(
        'channels = ["email", "sms"]', 'channels = ["sms"]\nfallback = ["email"]', 1
    )
    path.write_text(by_text)
    assert check_templates(folder, clinic) == []

    missing = folder / "contact/acknowledgement.email.en.md"
    missing.unlink()

    (problem,) = check_templates(folder, clinic)
    assert problem.file == missing


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        pytest.param("contact/acknowlegement.sms.en.txt", "expected a name such as", id="typo"),
        pytest.param("contact/alert.sms.en.md", "expected a name such as", id="ending"),
        pytest.param("contact/alert.sms.en.friend.txt", "expected no role but referrer", id="role"),
    ],
)
def test_a_file_that_nothing_reads_is_named(
    folder: Path, clinic: Clinic, file: str, expected: str
) -> None:
    (folder / file).write_text("words")

    (problem,) = check_templates(folder, clinic)

    assert problem.file == folder / file
    assert expected in problem.message


@pytest.mark.parametrize(
    "file", ["contact/.notes", "contact/alert.email.en.md~", "contact/alert.email.fr.md"]
)
def test_a_file_that_does_no_harm_is_left_alone(folder: Path, clinic: Clinic, file: str) -> None:
    (folder / file).write_text("words")

    assert check_templates(folder, clinic) == []


def test_a_page_without_a_place_for_the_words_is_refused(folder: Path, clinic: Clinic) -> None:
    (folder / "email.html").write_text("<html></html>")

    (problem,) = check_templates(folder, clinic)

    assert "expected {{ body }} once" in problem.message


def test_the_start_is_refused_with_file_and_line_and_the_number_of_the_others(
    folder: Path, clinic: Clinic
) -> None:
    path = folder / "contact/acknowledgement.email.en.md"
    path.write_text("Subject: Hello\n\n{{ fist_name }}\n{{ surname }}\n")

    with pytest.raises(Misconfigured) as refused:
        Templates.read(folder, clinic)

    message = str(refused.value)
    assert message.startswith(f"{path}:3: there is no variable 'fist_name'")
    assert message.endswith("(and 1 more: followup templates check)")
    assert "\n" not in message


def test_every_problem_is_named_at_once(folder: Path, shipped: Path, clinic: Clinic) -> None:
    (folder / "contact/cadence.toml").write_text("version = 0\n")
    shutil.copytree(shipped / "screening", folder / "screening")
    (folder / "screening/alert.sms.en.txt").write_text("{{ surname }}\n{{ diagnosis }}")

    problems = check_templates(folder, clinic)

    assert {(one.file.parent.name, one.line) for one in problems} == {
        ("contact", None), ("screening", 1), ("screening", 2),
    }  # fmt: skip


def test_a_step_is_added_without_touching_code(folder: Path, clinic: Clinic) -> None:
    with (folder / "contact/cadence.toml").open("a") as cadence:
        cadence.write(
            '\n[[steps]]\nname = "week"\naudience = "staff"\nchannels = ["sms"]\n'
            'lane = "reminder"\nafter = ["7d"]\nexpires = { sms = "1d" }\n'
        )
    (folder / "contact/week.sms.en.txt").write_text("{{ sender_label }}: {{ reference }}, a week.")

    templates = Templates.read(folder, clinic)

    message = _render(templates, clinic, step="week", channel=Channel.sms)
    assert message.text == "Harbor Light Wellness: K7Q4, a week."


def test_pages_escape_values_and_refuse_unknown_names(folder: Path) -> None:
    (folder / "pages").mkdir(exist_ok=True)
    (folder / "pages/sample.html").write_text("<p>{{ name }}</p>")
    page = pages_environment(folder).get_template("sample.html")

    assert page.render(name="<b>") == "<p>&lt;b&gt;</p>"
    with pytest.raises(UndefinedError):
        page.render()


def test_how_texts_are_answered_must_be_there(folder: Path, clinic: Clinic) -> None:
    shutil.rmtree(folder / "replies")

    (problem,) = check_templates(folder, clinic)

    assert problem.file == folder / "replies/cadence.toml"
    assert problem.message.startswith("is missing; it says how texts are answered")


@pytest.mark.parametrize("step", [*Answer, "replied", "danger"])
def test_replies_have_all_their_steps(folder: Path, clinic: Clinic, step: str) -> None:
    path = folder / "replies/cadence.toml"
    path.write_text(path.read_text().replace(f'name = "{step}"', 'name = "other"'))
    for wording in (folder / "replies").glob(f"{step}.*"):
        wording.rename(wording.with_name(wording.name.replace(step, "other", 1)))

    problems = check_templates(folder, clinic)

    assert (path, f"expected a step {str(step)!r}") in [(one.file, one.message) for one in problems]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            'channels = ["sms"]\nlane = "ack"\nafter = ["0m"]\nexpires = { sms',
            'channels = ["email"]\nlane = "ack"\nafter = ["0m"]\nexpires = { email',
            "channels = ['sms']",
        ),
        ('name = "help"\naudience = "patient"', 'name = "help"\naudience = "staff"', "'patient'"),
        ('name = "danger"\naudience = "staff"', 'name = "danger"\naudience = "patient"', "'staff'"),
    ],
)
def test_an_answer_goes_where_the_text_came_from_and_a_notice_to_staff(
    folder: Path, clinic: Clinic, old: str, new: str, expected: str
) -> None:
    path = folder / "replies/cadence.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1).replace("escalate_from = 1\n", ""))

    assert any(expected in one.message for one in check_templates(folder, clinic))


def test_a_step_of_a_lead_s_cadence_may_not_be_called_like_an_answer(
    folder: Path, clinic: Clinic
) -> None:
    path = folder / "contact/cadence.toml"
    path.write_text(path.read_text().replace('name = "alert"', 'name = "replied"'))
    for wording in (folder / "contact").glob("alert.*"):
        wording.rename(wording.with_name(wording.name.replace("alert", "replied", 1)))

    (problem,) = check_templates(folder, clinic)

    assert (problem.file, problem.message) == (
        path,
        "step replied: is a name of templates/replies/",
    )


def test_answers_are_the_same_for_whoever_writes(templates: Templates, clinic: Clinic) -> None:
    chosen = {"cadence": "replies", "step": Answer.help, "channel": Channel.sms}

    as_referrer = _render(templates, clinic, **chosen, role="referrer")

    assert as_referrer == _render(templates, clinic, **chosen)
