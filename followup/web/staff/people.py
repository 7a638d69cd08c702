"""Who of the staff may act: admins add people, change them, and end what they may."""

import uuid
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from followup.clinic import readable_phone
from followup.domain.audit import Door
from followup.domain.spoken import duration_in_words
from followup.errors import Conflict, Invalid
from followup.services import auditing, signing_in, staffing
from followup.services.signing_in import SignedIn
from followup.services.staffing import Credential, StaffRole
from followup.store import people
from followup.store.crypto import keyring_of
from followup.store.db import reading, transaction
from followup.store.models import Person
from followup.web.deps import Fields, TheForm, TheService
from followup.web.problems import Problem
from followup.web.staff.shell import Actor, PageRoute, Reader, faults_of, staff_page, text_of

PEOPLE = "/staff/people"
FIELDS = ("name", "role", "email", "phone")

router = APIRouter(
    prefix=PEOPLE,
    route_class=PageRoute,
    default_response_class=HTMLResponse,
    include_in_schema=False,
)


@router.get("")
def list_people(service: TheService, reader: Reader, done: str = "") -> Response:
    return _list(service, reader, done=done)


@router.post("")
def add_person(service: TheService, actor: Actor, fields: TheForm) -> Response:
    given = _given(fields)
    try:
        with transaction(service.engine) as session:
            made = staffing.add_person(
                session,
                keyring_of(service.engine),
                name=given["name"],
                role=StaffRole(given["role"]),
                email=given["email"] or None,
                phone=given["phone"] or None,
                now=service.now(),
                by=actor.person.name,
                door=Door.page,
            )
    except Invalid as error:
        return _list(service, actor, status=422, given=given, faults=faults_of(error))
    except Conflict:
        return _list(service, actor, status=409, given=given, faults={"name": "taken"})
    return _token_page(service, actor, made)


@router.get("/{person_id}")
def show_person(
    service: TheService, reader: Reader, person_id: uuid.UUID, done: str = ""
) -> Response:
    return _show(service, reader, _person(service, person_id), done=done)


@router.post("/{person_id}")
def change_person(
    service: TheService, actor: Actor, person_id: uuid.UUID, fields: TheForm
) -> Response:
    person, given = _person(service, person_id), _given(fields)
    try:
        with transaction(service.engine) as session:
            staffing.change_person(
                session,
                person.name,
                service.now(),
                role=StaffRole(given["role"]),
                email=given["email"],
                phone=given["phone"],
                by=actor.person.name,
                door=Door.page,
            )
    except Invalid as error:
        return _show(service, actor, person, status=422, given=given, faults=faults_of(error))
    except Conflict:
        return _refuse(service, actor, person)
    # Who is an admin no more has nothing to look for here.
    is_out = person.id == actor.person.id and given["role"] != StaffRole.admin
    return _go("/staff" if is_out else f"{PEOPLE}/{person_id}?done=changed")


@router.post("/{person_id}/token")
def renew_token(service: TheService, actor: Actor, person_id: uuid.UUID) -> Response:
    person = _person(service, person_id)
    try:
        with transaction(service.engine) as session:
            made = staffing.renew_token(
                session, person.name, service.now(), by=actor.person.name, door=Door.page
            )
    except Conflict:
        return _refuse(service, actor, person)
    return _token_page(service, actor, made)


@router.post("/{person_id}/codes/end")
def reset_codes(service: TheService, actor: Actor, person_id: uuid.UUID) -> Response:
    person = _person(service, person_id)
    with transaction(service.engine) as session:
        staffing.reset_codes(
            session, person.name, service.now(), by=actor.person.name, door=Door.page
        )
    return _go(f"{PEOPLE}/{person_id}?done=codes")


@router.post("/{person_id}/sign-ins/end")
def sign_out(service: TheService, actor: Actor, person_id: uuid.UUID) -> Response:
    person = _person(service, person_id)
    with transaction(service.engine) as session:
        staffing.sign_out(session, person.name, service.now(), by=actor.person.name, door=Door.page)
    return _go(f"{PEOPLE}/{person_id}?done=signed_out")


@router.post("/{person_id}/disable")
def disable(service: TheService, actor: Actor, person_id: uuid.UUID) -> Response:
    """Never oneself: another admin can."""
    person = _person(service, person_id)
    if person.id == actor.person.id:
        return _refuse(service, actor, person)
    try:
        with transaction(service.engine) as session:
            staffing.disable(
                session, person.name, service.now(), by=actor.person.name, door=Door.page
            )
    except Conflict:
        return _refuse(service, actor, person)
    return _go(f"{PEOPLE}?done=disabled")


def _given(fields: Fields) -> dict[str, str]:
    given = {name: text_of(fields, name, 320) for name in FIELDS}
    if given["role"] not in set(StaffRole):
        raise Problem(422, f"role: must be one of {', '.join(StaffRole)}")
    return given


def _person(service: TheService, person_id: uuid.UUID) -> Person:
    with reading(service.engine) as session:
        found = people.find_person(session, person_id)
    if found is None:
        raise Problem(404, "there is nobody of that id among the staff")
    return found


def _go(to: str) -> Response:
    return RedirectResponse(to, status_code=303)


def _refuse(service: TheService, actor: SignedIn, person: Person) -> Response:
    """What was asked for would leave nobody in charge, or is no longer possible."""
    now_is = _person(service, person.id)
    problem = "is_disabled" if now_is.disabled_at else "last_admin"
    if problem == "last_admin" and now_is.id == actor.person.id:
        problem = "yourself"
    return _show(service, actor, now_is, status=409, problem=problem)


def _list(
    service: TheService,
    signed_in: SignedIn,
    *,
    status: int = 200,
    done: str = "",
    given: Mapping[str, str] | None = None,
    faults: Mapping[str, str] | None = None,
) -> Response:
    with reading(service.engine) as session:
        everybody = people.list_people(session)
    present = signing_in.list_present(service.engine, service.clinic.signing_in)
    rows = [_shown(service, one, present) for one in everybody]
    rows.sort(key=lambda row: (row["is_disabled"], row["name"].casefold()))
    _note_seen(service, signed_in, None)
    return staff_page(
        service,
        "people.html",
        signed_in,
        status=status,
        rows=rows,
        done=done,
        given=given or dict.fromkeys(FIELDS, ""),
        faults=faults or {},
        roles=list(StaffRole),
    )


def _show(
    service: TheService,
    signed_in: SignedIn,
    person: Person,
    *,
    status: int = 200,
    done: str = "",
    problem: str = "",
    given: Mapping[str, str] | None = None,
    faults: Mapping[str, str] | None = None,
) -> Response:
    present = signing_in.list_present(service.engine, service.clinic.signing_in)
    _note_seen(service, signed_in, person)
    kept = {"role": person.role, "email": person.email or "", "phone": _phone(person)}
    return staff_page(
        service,
        "person.html",
        signed_in,
        status=status,
        row=_shown(service, person, present),
        is_me=person.id == signed_in.person.id,
        done=done,
        problem=problem,
        given=given or kept,
        faults=faults or {},
        roles=list(StaffRole),
    )


def _token_page(service: TheService, actor: SignedIn, made: Credential) -> Response:
    """The only place where the token is ever shown."""
    return staff_page(
        service,
        "token.html",
        actor,
        name=made.person.name,
        token=made.token,
        address=f"{service.settings.public_url}/staff/welcome",
    )


def _note_seen(service: TheService, signed_in: SignedIn, person: Person | None) -> None:
    auditing.note(
        service.engine,
        service.now(),
        "staff listed",
        by=signed_in.person.name,
        door=Door.page,
        facts={"person": person.name} if person else None,
    )


def _phone(person: Person) -> str:
    return readable_phone(person.phone) if person.phone else ""


def _shown(
    service: TheService, person: Person, present: Mapping[uuid.UUID, signing_in.Presence]
) -> dict[str, Any]:
    here = present.get(person.id)
    language = service.clinic.default_language
    return {
        "id": person.id,
        "name": person.name,
        "role": person.role,
        "email": person.email or "",
        "phone": _phone(person),
        "has_password": person.password_hash is not None,
        "has_codes": person.totp_secret is not None,
        "browsers": here.browsers if here and person.disabled_at is None else 0,
        "idle": duration_in_words(here.idle, language) if here else "",
        "is_disabled": person.disabled_at is not None,
    }
