"""One's own account: the password, codes from an app, and the browsers that are signed in."""

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from followup.errors import Denied, Invalid
from followup.services import signing_in
from followup.services.signing_in import SignedIn
from followup.web.deps import TheForm, TheService
from followup.web.staff.shell import (
    Actor,
    PageRoute,
    Reader,
    faults_of,
    staff_page,
    text_of,
)

ACCOUNT = "/staff/account"

router = APIRouter(
    prefix=ACCOUNT,
    route_class=PageRoute,
    default_response_class=HTMLResponse,
    include_in_schema=False,
)


@router.get("")
def show_account(service: TheService, reader: Reader, done: str = "") -> Response:
    return _page(service, reader, done=done)


@router.post("/password")
def change_password(service: TheService, actor: Actor, fields: TheForm) -> Response:
    try:
        signing_in.change_password(
            service.engine,
            actor,
            old=str(fields.get("old", "")),
            new=str(fields.get("password", "")),
            now=service.now(),
        )
    except Denied:
        return _page(service, actor, status=401, faults={"old": ""})
    except Invalid as error:
        return _page(service, actor, status=422, faults=faults_of(error))
    return _done("password")


@router.post("/codes")
def begin_codes(service: TheService, actor: Actor, fields: TheForm) -> Response:
    """The secret comes back with the form: it is kept when the app is known to have it."""
    secret = text_of(fields, "secret", 64)
    try:
        signing_in.begin_codes(
            service.engine, actor.person, secret, text_of(fields, "code", 20), service.now()
        )
    except Invalid as error:
        # Of a secret that is none, a new one is shown.
        again = None if "secret" in faults_of(error) else secret
        return _page(service, actor, status=422, secret=again, faults={"code": ""})
    return _done("codes")


@router.post("/codes/end")
def end_codes(service: TheService, actor: Actor, fields: TheForm) -> Response:
    password = str(fields.get("password", ""))
    try:
        signing_in.end_codes(service.engine, actor.person, password, service.now())
    except Denied:
        return _page(service, actor, status=401, faults={"ending": ""})
    return _done("codes_ended")


@router.post("/sign-ins/end")
def end_others(service: TheService, actor: Actor) -> Response:
    signing_in.end_others(service.engine, actor, service.now())
    return _done("others")


def _done(what: str) -> Response:
    return RedirectResponse(f"{ACCOUNT}?done={what}", status_code=303)


def _page(
    service: TheService,
    signed_in: SignedIn,
    *,
    status: int = 200,
    done: str = "",
    secret: str | None = None,
    faults: dict[str, str] | None = None,
) -> Response:
    # Its tables take 5 MB, which a process need not hold until somebody asks for a code.
    import segno

    secret = secret or signing_in.new_totp_secret()
    url = signing_in.totp_url(secret, signed_in.person, service.clinic.name)
    facts: dict[str, Any] = {
        "done": done,
        "secret": secret,
        "qr": segno.make(url, error="m").svg_data_uri(scale=5, border=3, light="#fff"),
        "faults": faults or {},
        "others": signing_in.count_others(service.engine, signed_in, service.clinic.signing_in),
    }
    return staff_page(service, "account.html", signed_in, status=status, **facts)
