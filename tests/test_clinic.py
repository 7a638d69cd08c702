"""The shipped clinic reads; a wrong value is named with its file, its key and what was expected."""

import re
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest

from followup.clinic import Clinic, Recipient, StaffRole, read_clinic, readable_phone
from followup.clinic_limits import Caps, Limits
from followup.domain.risk import STARTER_WORDS
from followup.errors import Invalid, Misconfigured, NotFound

SHIPPED = Path(__file__).parents[1] / "clinic.toml"


@pytest.fixture(scope="module")
def clinic() -> Clinic:
    return read_clinic(SHIPPED)


def _refusal(tmp_path: Path, old: str, new: str) -> str:
    """What is said about the shipped file with one edit; `old` must be in it."""
    text = SHIPPED.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "clinic.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(Misconfigured) as refused:
        read_clinic(path)
    return str(refused.value).removeprefix(f"{tmp_path}/")


def test_the_shipped_clinic_has_two_sites_in_los_angeles(clinic: Clinic) -> None:
    assert [site.id for site in clinic.sites] == ["newport-beach", "manhattan-beach"]
    assert {site.zone.key for site in clinic.sites} == {"America/Los_Angeles"}
    assert clinic.phone == "+19495550100"
    assert clinic.callback_promise == timedelta(hours=1)


def test_the_sender_is_the_clinic_unless_a_discreet_name_is_given(
    clinic: Clinic, tmp_path: Path
) -> None:
    discreet = tmp_path / "clinic.toml"
    text = SHIPPED.read_text(encoding="utf-8")
    discreet.write_text(text.replace('# sender_label = "Harbor', 'sender_label = "Harbor'))

    assert clinic.sender_label == "Harbor Light Wellness"
    assert read_clinic(discreet).sender_label == "Harbor Light"


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        pytest.param("manhattan-beach", "manhattan-beach", id="named"),
        pytest.param(None, "newport-beach", id="none named"),
        pytest.param("santa-barbara", "newport-beach", id="not ours"),
    ],
)
def test_a_lead_without_a_site_of_ours_belongs_to_the_default_one(
    clinic: Clinic, asked: str | None, found: str
) -> None:
    assert clinic.site(asked).id == found


def test_a_site_keeps_its_hours_and_holidays(clinic: Clinic) -> None:
    friday_evening = datetime(2026, 9, 5, 1, tzinfo=UTC)

    reopens = clinic.site(None).business_hours.next_open(friday_evening)

    # Monday the 7th is Labor Day.
    assert reopens == datetime(2026, 9, 8, 16, tzinfo=UTC)


def test_hours_may_have_a_break_and_end_at_midnight(tmp_path: Path) -> None:
    path = tmp_path / "clinic.toml"
    hours = 'mon = ["09:00-12:00", "13:00-24:00"]'
    text = SHIPPED.read_text(encoding="utf-8").replace('mon = ["09:00-17:00"]', hours, 1)
    path.write_text(text, encoding="utf-8")

    monday = read_clinic(path).sites[0].business_hours.week[0]

    assert monday == ((time(9), time(12)), (time(13), time.max))


def test_the_current_consent_text_is_the_default(clinic: Clinic) -> None:
    version, text = clinic.consent_text("contact", None, "en")

    assert version == "2026-11"
    assert text.startswith("Harbor Light Wellness may send me text messages (SMS)")
    assert "  " not in text


def test_a_language_that_the_clinic_lacks_reads_the_default_one(clinic: Clinic) -> None:
    assert clinic.consent_text("contact", None, "fr") == clinic.consent_text("contact", None, "en")


def test_a_consent_version_that_never_was_is_the_callers_fault(clinic: Clinic) -> None:
    with pytest.raises(Invalid) as refused:
        clinic.consent_text("screening", "1999-01", "en")

    assert [fault.field for fault in refused.value.faults] == ["consent_text_version"]


def test_a_kind_of_form_that_is_not_ours_is_not_found(clinic: Clinic) -> None:
    assert clinic.find_form("survey") is None
    with pytest.raises(NotFound, match="survey"):
        clinic.get_form("survey")


@pytest.mark.parametrize(
    ("escalated", "heard"),
    [
        pytest.param(False, ["Front desk"], id="at first"),
        pytest.param(True, ["Front desk", "Practice manager"], id="escalated"),
    ],
)
def test_the_manager_hears_what_escalates(
    clinic: Clinic, escalated: bool, heard: list[str]
) -> None:
    recipients = clinic.recipients(clinic.site(None), escalated=escalated)

    assert [one.name for one in recipients] == heard


@pytest.mark.parametrize(
    ("e164", "read"),
    [
        pytest.param("+19495550100", "(949) 555-0100", id="at home"),
        pytest.param("+442079460000", "+44 20 7946 0000", id="abroad"),
    ],
)
def test_a_phone_is_shown_as_people_read_it(e164: str, read: str) -> None:
    assert readable_phone(e164) == read


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param("[clinic]", "[klinic]", "clinic: expected a [clinic] table", id="no clinic"),
        pytest.param(
            'name = "Harbor Light Wellness"', 'nam = "x"', "clinic.nam: there is no such key",
            id="misspelt key",
        ),
        pytest.param('email = "hello', 'email = "hello at ', "clinic.email: expected an",
                     id="email"),
        pytest.param('"+1 949 555 0100"', '"call us"', "clinic.phone: expected a phone",
                     id="phone"),
        pytest.param('"https://www.example.com"', '"example"', "clinic.website: ", id="address"),
        pytest.param('"1h"', '"soon"', "clinic.callback_promise: expected a duration",
                     id="promise"),
        pytest.param("messages_per_request = 3", "messages_per_request = 0",
                     "clinic.messages_per_request: expected greater than", id="no messages"),
        pytest.param('languages = ["en", "es"]', 'languages = ["en", "es", "fr"]',
                     "clinic.languages: expected some of en, es, got fr", id="unspoken"),
        pytest.param('default_language = "en"', 'default_language = "fr"',
                     "clinic.default_language: expected one of en, es", id="default language"),
        pytest.param('default_site = "newport-beach"', 'default_site = "venice"',
                     "clinic.default_site: expected one of newport-beach", id="default site"),
        pytest.param('zone = "America/Los_Angeles"', 'zone = "California"',
                     "sites[0].zone: expected a time zone such as", id="zone"),
        pytest.param('mon = ["09:00-17:00"]', 'mon = ["nine to five"]',
                     'sites[0].hours.mon[0]: expected hours such as "09:00-17:00"', id="hours"),
        pytest.param('mon = ["09:00-17:00"]', 'mon = ["17:00-09:00"]',
                     "sites[0].hours: expected a start before its end", id="hours backwards"),
        pytest.param('mon = ["09:00-17:00"]', 'montag = ["09:00-17:00"]',
                     "sites[0].hours.montag: there is no such key", id="no such day"),
        pytest.param('holidays = "US-CA"', 'holidays = "XX"',
                     "sites[0].holidays: expected an ISO 3166-2 code", id="holidays"),
        pytest.param('["tms", "ketamine"]', '["tms", "yoga"]',
                     "sites[0].treatments[1]: expected 'tms' or 'ketamine', got 'yoga'",
                     id="treatment"),
        pytest.param('id = "manhattan-beach"', 'id = "newport-beach"',
                     "sites[0].id: expected a different id for each site", id="same site twice"),
        pytest.param('role = "staff"', 'role = "manager"',
                     'escalation: expected an entry with role = "staff"', id="nobody to alert"),
        pytest.param('# sites = ["newport-beach"]', 'sites = ["manhattan-beach"]',
                     'escalation: expected an entry with role = "staff" for the site newport-beach',
                     id="nobody at one site"),
        pytest.param('# sites = ["newport-beach"]', 'sites = ["venice"]',
                     "escalation[0].sites: expected ids of sites", id="alerts of an unknown site"),
        pytest.param('# [escalation.hours]', 'hours = {}',
                     "escalation[0].hours: expected at least one day", id="never on duty"),
        pytest.param('# [escalation.hours]', 'hours = { mon = ["9-5"] }',
                     "escalation[0].hours.mon[0]: expected hours such as", id="no hours"),
        pytest.param("[forms.contact]", "[forms.kontact]",
                     "forms.kontact", id="unknown form"),
        pytest.param('consent_version = "2026-11"', 'consent_version = "2027-01"',
                     "forms.contact.consent_version: expected one of consent_texts: 2026-11",
                     id="consent without words"),
        pytest.param('es = "Comuníquese', 'fr = "Comuníquese',
                     "forms.contact.title.es: is missing", id="title in one language only"),
        pytest.param("Harbor Light Wellness may send", "We may send",
                     "forms.contact.consent_texts.2026-11.en: must say who sends",
                     id="unnamed sender"),
        pytest.param("Up to 3 messages", "Some messages",
                     "forms.contact.consent_texts.2026-11.en: must say how many", id="how often"),
        pytest.param("messages_per_request = 3", "messages_per_request = 4",
                     "forms.contact.consent_texts.2026-11.en: must say how many",
                     id="other number"),
        pytest.param("Reply STOP", "Reply NO",
                     "forms.contact.consent_texts.2026-11.en: must say STOP", id="no way out"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(tmp_path: Path, old: str, new: str, expected: str) -> None:
    refusal = _refusal(tmp_path, old, new)

    assert refusal.startswith(f"clinic.toml: {expected}")
    assert "\n" not in refusal


# The most that anybody is sent, and when silence is suspicious: two tables that may be absent.


def _with_tables(tmp_path: Path, tables: str) -> Path:
    path = tmp_path / "clinic.toml"
    shipped = SHIPPED.read_text(encoding="utf-8")
    before, after = shipped.index("[caps]"), shipped.index("# The forms.")
    path.write_text(f"{shipped[:before]}{tables}\n{shipped[after:]}", encoding="utf-8")
    return path


def test_caps_and_alarms_have_defaults(clinic: Clinic) -> None:
    assert clinic.caps == Caps(
        patient_per_day=6, lead_per_day=10, staff_per_hour=500, service_per_hour=5000
    )
    assert clinic.alarms.no_submission_after == timedelta(hours=48)


def test_how_long_what_is_kept_has_defaults_which_the_shipped_file_shows(tmp_path: Path) -> None:
    shown = read_clinic(SHIPPED).retention

    assert shown == read_clinic(_with_tables(tmp_path, "")).retention
    assert shown.model_dump() == {
        "history_days": 90, "lead_days": 400, "held_days": 90,
        "evidence_years": 7, "audit_years": 6,
    }  # fmt: skip


def test_caps_and_alarms_are_the_clinics_to_set(tmp_path: Path) -> None:
    tables = '[caps]\npatient_per_day = 2\n[alarms]\nno_submission_after = "8h"'

    clinic = read_clinic(_with_tables(tmp_path, tables))

    assert (clinic.caps.patient_per_day, clinic.caps.lead_per_day) == (2, 10)
    assert clinic.alarms.no_submission_after == timedelta(hours=8)


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        *(
            pytest.param(f"[caps]\n{name} = 0", f"caps.{name}: expected greater than", id=name)
            for name in ("patient_per_day", "lead_per_day", "staff_per_hour", "service_per_hour")
        ),
        pytest.param('[caps]\nservice_per_hour = "many"', "caps.service_per_hour: expected",
                     id="no number"),
        pytest.param("[caps]\npatients_per_day = 6",
                     "caps.patients_per_day: there is no such key", id="misspelt cap"),
        *(
            pytest.param(f"[retention]\n{name} = {value}",
                         f"retention.{name}: expected greater than or equal to {value + 1}",
                         id=f"{name} shorter than the least")
            for name, value in (("history_days", 30), ("lead_days", 59), ("held_days", 6),
                                ("evidence_years", 4), ("audit_years", 5))
        ),
        pytest.param('[alarms]\nno_submission_after = "soon"',
                     "alarms.no_submission_after: expected a duration", id="no duration"),
        pytest.param('[alarms]\nno_submissions_after = "8h"',
                     "alarms.no_submissions_after: there is no such key", id="misspelt alarm"),
    ],
)  # fmt: skip
def test_a_wrong_cap_or_alarm_is_named(tmp_path: Path, tables: str, expected: str) -> None:
    path = _with_tables(tmp_path, tables)

    with pytest.raises(Misconfigured) as refused:
        read_clinic(path)

    assert str(refused.value).startswith(f"{path}: {expected}")


def test_limits_and_embedding_have_the_defaults_that_the_shipped_file_shows(
    clinic: Clinic, tmp_path: Path
) -> None:
    bare = read_clinic(_with_tables(tmp_path, ""))

    assert bare.limits == clinic.limits == Limits()
    assert bare.origins == clinic.origins == ("https://www.example.com",)


def test_the_websites_that_may_embed_the_forms_are_the_clinics_to_name(tmp_path: Path) -> None:
    tables = '[embedding]\norigins = ["https://A.example.com/", "http://127.0.0.1:8080"]'

    origins = read_clinic(_with_tables(tmp_path, tables)).origins

    assert origins == ("https://a.example.com", "http://127.0.0.1:8080")
    assert read_clinic(_with_tables(tmp_path, "[embedding]\norigins = []")).origins == ()


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        *(
            pytest.param(f"[limits]\n{name} = 0", f"limits.{name}: expected greater", id=name)
            for name in sorted(Limits.model_fields)
            if name.startswith("per_")
        ),
        pytest.param("[limits]\nper_adress = 6", "limits.per_adress: there is no such key",
                     id="misspelt limit"),
        pytest.param('[limits]\nwindow = "0m"', "limits.window: expected greater", id="no window"),
        pytest.param('[limits]\nwindow = "2d"', "limits.window: expected less", id="long window"),
        pytest.param('[limits]\nspared = ["our server"]',
                     "limits.spared[0]: expected an address", id="no address"),
        pytest.param('[embedding]\norigins = ["*"]', "embedding.origins[0]: expected an origin",
                     id="everybody"),
        pytest.param('[embedding]\norigins = ["https://*.example.com"]',
                     "embedding.origins[0]: expected an origin", id="a wildcard"),
        pytest.param('[embedding]\norigins = ["www.example.com"]',
                     "embedding.origins[0]: expected an origin", id="no scheme"),
        pytest.param('[embedding]\norigins = ["https://www.example.com/form"]',
                     "embedding.origins[0]: expected an origin", id="a page"),
    ],
)  # fmt: skip
def test_a_wrong_limit_or_origin_is_named(tmp_path: Path, tables: str, expected: str) -> None:
    path = _with_tables(tmp_path, tables)

    with pytest.raises(Misconfigured) as refused:
        read_clinic(path)

    assert str(refused.value).startswith(f"{path}: {expected}")


def test_operators_hear_of_the_services_trouble_else_managers_else_everybody(
    clinic: Clinic,
) -> None:
    staff, manager = clinic.escalation
    operator = Recipient(role=StaffRole.operator, name="Operator", email="ops@example.com")

    def hearing(*escalation: Recipient) -> tuple[Recipient, ...]:
        return clinic.model_copy(update={"escalation": escalation}).operators

    assert hearing(staff, manager, operator) == (operator,)
    assert hearing(staff, manager) == (manager,)
    assert hearing(staff) == (staff,)


def test_operators_hear_nothing_of_leads(clinic: Clinic) -> None:
    operator = Recipient(role=StaffRole.operator, name="Operator", email="ops@example.com")
    named = clinic.model_copy(update={"escalation": (*clinic.escalation, operator)})

    assert operator not in named.recipients(named.site(None), escalated=True)


# When patients may be texted: a table that may be absent.

OWN_HOURS = """
[text_hours.default]
mon = "10:00-18:00"
sat = "10:00-12:00"
[text_hours.states.FL]
mon = "08:00-20:00"
[text_hours.states.AL]
tue = "12:00-15:00"
most_per_day = 1
[text_hours.states.CA]
wed = "09:00-12:00"
holidays = "US-CA"
"""
MIAMI, BIRMINGHAM, NEWPORT, PORTLAND = (
    *("+13055550123", "+12055550123", "+19495550123", "+15035550123"),
)


def _text_hours(clinic: Clinic, phone: str) -> tuple[str, int | None]:
    allowance = clinic.text_hours.rules.allowance(phone, clinic.sites[0].zone)
    return str(allowance.window), allowance.most_per_day


def test_text_hours_have_a_default(clinic: Clinic) -> None:
    assert _text_hours(clinic, NEWPORT) == ("Mon-Sat 09:00-20:00, Sun 12:00-20:00", None)


def test_text_hours_are_the_clinics_to_set_also_by_state(tmp_path: Path) -> None:
    clinic = read_clinic(_with_tables(tmp_path, OWN_HOURS))

    assert _text_hours(clinic, PORTLAND) == ("Mon 10:00-18:00, Sat 10:00-12:00", 3)
    assert _text_hours(clinic, NEWPORT) == ("Wed 09:00-12:00, not on holidays of US-CA", None)


def test_what_a_clinic_leaves_out_for_a_state_its_law_still_says(tmp_path: Path) -> None:
    clinic = read_clinic(_with_tables(tmp_path, OWN_HOURS))

    assert _text_hours(clinic, MIAMI) == ("Mon 08:00-20:00", 3)
    assert _text_hours(clinic, BIRMINGHAM) == ("Tue 12:00-15:00, not on holidays of US", 1)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        pytest.param('[text_hours.default]\nmon = "nine to five"',
                     'text_hours.default.mon: expected hours such as "09:00-17:00"', id="no hours"),
        pytest.param('[text_hours.default]\nmon = ["09:00-12:00"]',
                     'text_hours.default.mon: expected hours such as "09:00-17:00"', id="a list"),
        pytest.param('[text_hours.default]\nmon = "17:00-09:00"',
                     "text_hours.default: expected a start before its end", id="backwards"),
        pytest.param('[text_hours.default]\nmon = "07:00-20:00"',
                     "text_hours.default: expected hours within Mon-Sun 08:00-21:00",
                     id="too early"),
        pytest.param('[text_hours.states.FL]\nmon = "09:00-21:01"',
                     "text_hours.states.FL: expected hours within Mon-Sun 08:00-21:00",
                     id="too late"),
        pytest.param("[text_hours.default]",
                     "text_hours.default: expected at least one day with hours", id="never"),
        pytest.param('[text_hours.default]\nmonday = "09:00-20:00"',
                     "text_hours.default.monday: there is no such key", id="no such day"),
        pytest.param('[text_hours.default]\nmon = "09:00-20:00"\nholidays = "XX"',
                     "text_hours.default: expected an ISO 3166-2 code", id="holidays"),
        pytest.param('[text_hours.states.florida]\nmon = "09:00-20:00"',
                     "text_hours.states.florida: expected the postal letters of a state",
                     id="no such state"),
        pytest.param('[text_hours.states.FL]\nmon = "09:00-20:00"\nmost_per_day = 0',
                     "text_hours.states.FL.most_per_day: expected greater than", id="no texts"),
        pytest.param('[text_hours.state.FL]\nmon = "09:00-20:00"',
                     "text_hours.state: there is no such key", id="misspelt table"),
    ],
)  # fmt: skip
def test_wrong_text_hours_are_named(tmp_path: Path, table: str, expected: str) -> None:
    path = _with_tables(tmp_path, table)

    with pytest.raises(Misconfigured) as refused:
        read_clinic(path)

    assert str(refused.value).startswith(f"{path}: {expected}")


def test_the_shipped_files_example_of_text_hours_is_valid(tmp_path: Path) -> None:
    """As an operator would have it who takes the # away."""
    text = SHIPPED.read_text(encoding="utf-8")
    start, end = text.index("# [text_hours.default]"), text.index("# Brakes against")
    table = "\n".join(line.removeprefix("#").strip() for line in text[start:end].splitlines())
    path = tmp_path / "clinic.toml"
    path.write_text(f"{text[:start]}{table}\n{text[end:]}", encoding="utf-8")

    assert _text_hours(read_clinic(path), BIRMINGHAM)[1] == 3


def test_the_shipped_list_of_risk_words_is_the_one_that_holds_without_a_list(
    clinic: Clinic, tmp_path: Path
) -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    start, end = text.index("[risk]"), text.index("[alarms]")
    without = tmp_path / "clinic.toml"
    without.write_text(text[:start] + text[end:], encoding="utf-8")

    assert clinic.risk.words == STARTER_WORDS == read_clinic(without).risk.words


def test_a_risk_word_without_letters_is_named(tmp_path: Path) -> None:
    assert "clinic.toml: risk.words[1]: expected a word" in _refusal(tmp_path, '"suicide"', '"…!"')


def test_no_source_s_numbers_are_consent_unless_the_clinic_says_so(
    clinic: Clinic, tmp_path: Path
) -> None:
    said = tmp_path / "clinic.toml"
    text = SHIPPED.read_text(encoding="utf-8")
    said.write_text(text.replace("# consent_by_number", "consent_by_number", 1), encoding="utf-8")

    assert {form.consent_by_number for form in clinic.forms.values()} == {frozenset()}
    assert read_clinic(said).get_form("contact").consent_by_number == {"api"}


def test_the_clinic_s_own_numbers_are_known(clinic: Clinic) -> None:
    assert clinic.numbers == {"+19495550100"}


SOURCE = '[[sources]]\nname = "site"\nvendor = "typeform"\nform = "contact"\n'
WRONG_SOURCES = {
    "vendor": (SOURCE.replace("typeform", "tally"), "sources[0].vendor: expected"),
    "form": (SOURCE.replace("contact", "other"), "sources[0].form: expected"),
    "name": (SOURCE.replace("site", "My site"), "sources[0].name: expected at most 40 small"),
    "own": (SOURCE.replace("site", "api"), "sources[0].name: is what we call a source of our own"),
    "twice": (SOURCE * 2, "sources[0].name: expected a different name"),
    "no such field": (
        SOURCE + 'fields = { nmae = "x" }',
        "sources[0].fields: there is no field nmae",
    ),
    "questions": (
        SOURCE + 'fields = { "answers.phq9" = ["q1", "q2"] }',
        "sources[0].fields: answers.phq9: expected 9 questions",
    ),
    "consent in fields": (
        SOURCE + 'fields = { consent_sms = "x" }',
        "sources[0].fields: consent_sms belongs to [sources.consent]",
    ),
    "words of consent": (
        SOURCE + 'consent = { field = "x", text_version = "1999" }',
        "sources[0].consent.text_version: expected one of 2026-11",
    ),
    "no words": (
        SOURCE + 'consent = { field = "x" }',
        "sources[0].consent.text_version: is missing",
    ),
    "signs nothing": (
        SOURCE.replace("typeform", "jotform") + 'proof = "signature"',
        "sources[0]: jotform signs nothing",
    ),
    "unsigned consent": (
        SOURCE + 'proof = "path"',
        "forms.contact.consent_by_number: site signs nothing",
    ),
}


@pytest.mark.parametrize(("sources", "problem"), WRONG_SOURCES.values(), ids=WRONG_SOURCES)
def test_a_wrong_source_is_named_by_its_key(tmp_path: Path, sources: str, problem: str) -> None:
    path = tmp_path / "clinic.toml"
    text = SHIPPED.read_text(encoding="utf-8")
    text = text.replace('# consent_by_number = ["api"]', 'consent_by_number = ["site"]')
    path.write_text(f"{text}\n{sources}", encoding="utf-8")

    with pytest.raises(Misconfigured) as refused:
        read_clinic(path)

    assert str(refused.value).removeprefix(f"{path}: ").startswith(problem)


def test_the_example_of_a_source_in_the_shipped_file_is_one(tmp_path: Path) -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    start = text.index("# [[sources]]")
    example = text[start : text.index("\n\n", start)]
    path = tmp_path / "clinic.toml"
    path.write_text(text + "\n" + re.sub(r"^# ?", "", example, flags=re.MULTILINE))

    (source,) = read_clinic(path).sources
    assert (source.name, source.proven_by) == ("website", "bearer")
