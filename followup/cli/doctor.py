"""`followup doctor`: what an operator should put right, asked without sending anything."""

from collections.abc import Iterator

import typer
from sqlalchemy.exc import SQLAlchemyError

from followup.bootstrap import (
    make_announcer,
    make_chat_transport,
    make_mailbox,
    make_paces,
    make_transports,
    open_service,
)
from followup.cli.asking import broker_answers
from followup.cli.opening import AsJson, own_settings, print_json
from followup.clinic import Clinic, read_clinic
from followup.clinic_sources import check_secrets
from followup.config import PREFIX, SENDING, STORING, Settings
from followup.domain.cadence import Channel
from followup.errors import FollowupError
from followup.services import rotating
from followup.store import announcements, db, hash_keys
from followup.templates import check_templates
from followup.transports.mailbox import Mailbox

app = typer.Typer()


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check settings, files, database, broker and providers, without sending anything."""
    findings = list(_examine())
    if as_json:
        print_json(
            {
                "ok": all(ok for _, ok, _ in findings),
                "checks": [
                    {"check": check, "ok": ok, "says": says} for check, ok, says in findings
                ],
            }
        )
    else:
        for check, ok, says in findings:
            typer.echo(f"{'ok  ' if ok else 'FAIL'}  {check}: {says}")
    if not all(ok for _, ok, _ in findings):
        raise typer.Exit(1)


def _examine() -> Iterator[tuple[str, bool, str]]:
    try:
        settings = own_settings()
    except FollowupError as error:
        yield "settings", False, str(error)
        return
    try:
        settings.checked(*SENDING)
    except FollowupError as error:
        yield "settings", False, str(error)
    else:
        yield "settings", True, "complete"
    try:
        clinic = read_clinic(settings.clinic_file)
        problems = check_templates(settings.templates_dir, clinic, settings.public_url)
    except FollowupError as error:
        yield "clinic and templates", False, str(error)
    else:
        yield "clinic and templates", not problems, "; ".join(map(str, problems)) or clinic.name
        if clinic.sources:
            yield _examine_sources(settings, clinic)
    database = _examine_database(settings)
    yield database
    if database[1]:
        yield _examine_keys(settings)
    yield (
        ("broker", True, "answers")
        if broker_answers(settings)
        else ("broker", False, f"{PREFIX}BROKER_URL: no answer")
    )
    yield _examine_transports(settings)
    yield _examine_rates(settings)
    yield _examine_proxies(settings)
    if settings.chats:
        yield _examine_chats(settings)
    yield from _examine_webhooks(settings)
    if mailbox := make_mailbox(settings):
        yield _examine_mailbox(mailbox)


def _examine_sources(settings: Settings, clinic: Clinic) -> tuple[str, bool, str]:
    try:
        check_secrets(clinic.sources, settings.form_secrets, f"{PREFIX}FORM_SECRETS")
    except FollowupError as error:
        return "sources", False, str(error)
    says = [f"{one.name} ({one.vendor}, by {one.proven_by})" for one in clinic.sources]
    return "sources", True, ", ".join(says)


def _examine_database(settings: Settings) -> tuple[str, bool, str]:
    try:
        engine = open_service(settings.checked(*STORING)).engine
        if db.missing_migrations(engine):
            return "database", False, "migrations are missing; run `followup migrate`"
    except FollowupError as error:
        return "database", False, str(error)
    except SQLAlchemyError as error:
        return "database", False, f"{PREFIX}DATABASE_URL: {type(error).__name__}"
    return "database", True, engine.url.render_as_string(hide_password=True)


def _examine_keys(settings: Settings) -> tuple[str, bool, str]:
    """Looks through the fields only while there is more than one key."""
    engine = open_service(settings).engine
    try:
        hash_keys.find_hash_keys(engine)
    except FollowupError as error:
        return "keys", False, str(error)
    if rotating.is_rotation_pending(engine):
        return "keys", True, "a rotation is pending: run `followup keys rotate`"
    if len(settings.encryption_keys) > 1:
        return "keys", True, "all fields are written with the first key; the others may go"
    return "keys", True, "one key"


def _examine_transports(settings: Settings) -> tuple[str, bool, str]:
    try:
        transports = make_transports(open_service(settings.checked(*SENDING)))
    except FollowupError as error:
        return "providers", False, str(error)
    return "providers", True, ", ".join(sorted(channel.value for channel in transports))


def _examine_chats(settings: Settings) -> tuple[str, bool, str]:
    says, name = [], ""
    try:
        transport = make_chat_transport(settings, read_clinic(settings.clinic_file))
        for name in settings.chats:
            says.append(f"{name} ({transport.open(name).service_name})")
    except FollowupError as error:
        return "chats", False, f"{PREFIX}CHATS: {name}: {error}" if name else str(error)
    return "chats", True, ", ".join(says)


def _examine_rates(settings: Settings) -> tuple[str, bool, str]:
    """What is in force, to be compared with what the provider says."""
    paces = make_paces(settings)
    units = {Channel.sms: "parts of texts", Channel.email: "mails"}
    if settings.chats:
        units[Channel.chat] = "messages to chats"
    says = [
        f"{paces[channel].rate.per_second:g} {unit} a second" if channel in paces else f"any {unit}"
        for channel, unit in units.items()
    ]
    if Channel.sms in paces and settings.texts_per_second is None:
        says[0] += f" (usual for such a sender; {PREFIX}TEXTS_PER_SECOND if yours has more)"
    return "rates", True, ", ".join(says)


def _examine_proxies(settings: Settings) -> tuple[str, bool, str]:
    """Not set is no fault: submissions are taken all the same."""
    if not settings.knows_addresses:
        missing = f"{PREFIX}TRUSTED_PROXIES is not set"
        return "proxies", True, f"{missing}: addresses are the proxy's, and have no limit"
    return "proxies", True, ", ".join(map(str, settings.trusted_proxies)) or "none"


def _examine_webhooks(settings: Settings) -> Iterator[tuple[str, bool, str]]:
    """Nothing where there are none. What nobody received is no fault of the settings."""
    try:
        if not read_clinic(settings.clinic_file).webhooks:
            return
    except FollowupError:
        # Told above.
        return
    try:
        service = open_service(settings.checked(*STORING))
        make_announcer(service)
        with db.reading(service.engine) as session:
            urls = {one.name: one.url for one in service.clinic.webhooks}
            stops = announcements.list_stops(session)
            stopped = [one.webhook for one in stops if urls.get(one.webhook) == one.url]
            dead, owed = announcements.count_dead(session), announcements.count_owed(session)
    except (FollowupError, SQLAlchemyError) as error:
        said = str(error) if isinstance(error, FollowupError) else type(error).__name__
        yield "webhooks", False, said
        return
    says = f"{', '.join(urls)}: {sum(owed.values())} to be told, {dead} dead"
    if stopped:
        says += f"; said that they are gone: {', '.join(stopped)} (`followup webhooks start NAME`)"
    yield "webhooks", not stopped, says


def _examine_mailbox(mailbox: Mailbox) -> tuple[str, bool, str]:
    try:
        with mailbox.open() as conversation:
            unread = len(conversation.unread_for_us())
    except FollowupError as error:
        return "bounces", False, f"{PREFIX}BOUNCES_URL: {error}"
    return "bounces", True, f"{unread} to be read"
