"""The way in and out: sign in, choose a password with a token, sign out."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from followup.errors import Denied, Invalid, TooMany
from followup.services import signing_in
from followup.web.deps import TheForm, TheService
from followup.web.problems import retry_after
from followup.web.staff.shell import (
    HOME,
    SIGN_IN,
    Actor,
    PageRoute,
    cookie_name,
    demand_same_site,
    faults_of,
    safe_next,
    set_cookie,
    staff_page,
    text_of,
)

router = APIRouter(
    prefix="/staff",
    route_class=PageRoute,
    default_response_class=HTMLResponse,
    include_in_schema=False,
)


@router.get("/sign-in")
def show_sign_in(service: TheService, next: str = "") -> Response:
    return staff_page(service, "sign-in.html", None, next=safe_next(next), name="", problem="")


@router.post("/sign-in")
def sign_in(service: TheService, request: Request, fields: TheForm) -> Response:
    demand_same_site(request)
    name, next_page = text_of(fields, "name"), safe_next(text_of(fields, "next", 2000))
    try:
        token = signing_in.sign_in(
            service.engine,
            name=name,
            password=str(fields.get("password", "")),
            code=text_of(fields, "code", 20),
            address=_address(request),
            now=service.now(),
        )
    except (Denied, TooMany) as error:
        problem, status, headers = _refusal(error)
        return staff_page(
            service,
            "sign-in.html",
            None,
            status=status,
            headers=headers,
            next=next_page,
            name=name,
            problem=problem,
        )
    return _enter(service, token, next_page)


@router.get("/welcome")
def show_welcome(service: TheService) -> Response:
    return staff_page(service, "welcome.html", None, problem="", faults={})


@router.post("/welcome")
def welcome(service: TheService, request: Request, fields: TheForm) -> Response:
    demand_same_site(request)
    problem, status, headers, faults = "", 422, dict[str, str](), dict[str, str]()
    try:
        token = signing_in.welcome(
            service.engine,
            token=text_of(fields, "token"),
            password=str(fields.get("password", "")),
            address=_address(request),
            now=service.now(),
        )
        return _enter(service, token, HOME)
    except (Denied, TooMany) as error:
        problem, status, headers = _refusal(error)
    except Invalid as error:
        faults = faults_of(error)
    return staff_page(
        service,
        "welcome.html",
        None,
        status=status,
        headers=headers,
        problem=problem,
        faults=faults,
    )


def _refusal(error: Denied | TooMany) -> tuple[str, int, dict[str, str]]:
    """Which words of the page say it, and the answer's status and headers."""
    if isinstance(error, TooMany):
        return "too_many", 429, retry_after(error)
    return "denied", 401, {}


def _enter(service: TheService, token: str, to: str) -> Response:
    response = RedirectResponse(to, status_code=303)
    set_cookie(service, response, token)
    return response


@router.post("/sign-out")
def sign_out(service: TheService, actor: Actor) -> Response:
    signing_in.sign_out(service.engine, actor, service.now())
    response = RedirectResponse(SIGN_IN, status_code=303)
    response.delete_cookie(cookie_name(service), path="/")
    return response


def _address(request: Request) -> str:
    return request.client.host if request.client else ""
