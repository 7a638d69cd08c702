"""What staff's pages share: who is signed in, the frame around a page, and errors as pages."""

import uuid
from collections.abc import Callable, Coroutine, Mapping
from typing import Annotated, Any
from urllib.parse import quote, urlencode, urlsplit

from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute

from followup.bootstrap import Service
from followup.errors import FollowupError, Invalid
from followup.services.signing_in import SignedIn, find_signed_in, is_csrf
from followup.web.access import ACCESS, demand, may_use
from followup.web.deps import Fields, TheForm, TheService
from followup.web.page import render_page
from followup.web.problems import TITLES, Problem, from_error

HOME = "/staff"
SIGN_IN = "/staff/sign-in"


class SignInNeeded(Exception):
    """Nobody is signed in, or not any more."""


class PageRoute(APIRoute):
    """Errors leave as pages, and who is not signed in is asked to."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_as_page(request: Request) -> Response:
            try:
                return await handle(request)
            except SignInNeeded:
                return _to_sign_in(request)
            except Problem as problem:
                return _problem_page(request, problem)
            except FollowupError as error:
                return _problem_page(request, from_error(error))
            except RequestValidationError:
                return _problem_page(request, Problem(404, TITLES[404]))

        return handle_as_page


def _to_sign_in(request: Request) -> Response:
    """And back again afterwards, where that is a page."""
    asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    back = f"?next={quote(asked, safe='')}" if request.method in ("GET", "HEAD") else ""
    return RedirectResponse(SIGN_IN + back, status_code=303)


def _problem_page(request: Request, problem: Problem) -> Response:
    service: Service = request.app.state.service
    return render_page(
        service,
        "staff/problem.html",
        language=service.clinic.default_language,
        status=problem.status_code,
        headers=problem.headers,
        code=problem.status_code,
        detail=problem.detail,
        signed_in=None,
    )


def safe_next(asked: str | None) -> str:
    """A page of ours to go to; never another site's (CWE-601)."""
    parts = urlsplit(asked or "")
    is_staffs = parts.path == HOME or parts.path.startswith(f"{HOME}/")
    is_ours = not parts.scheme and not parts.netloc and is_staffs
    return asked if asked and is_ours and "\\" not in asked else HOME


def lead_path(lead_id: uuid.UUID, back: str) -> str:
    """A lead's page, from which one goes back to that view of the board."""
    path = f"{HOME}/leads/{lead_id}"
    return path if back == HOME else f"{path}?{urlencode({'back': back})}"


def cookie_name(service: Service) -> str:
    """`__Host-` binds it to this host and to TLS (RFC 6265bis §4.1.3.2); without TLS, as on one's
    own machine, no browser would keep such a cookie."""
    return "__Host-followup" if service.settings.public_url.startswith("https:") else "followup"


def set_cookie(service: Service, response: Response, token: str) -> None:
    """For as long as the browser runs; how long it opens anything is the server's to say."""
    name = cookie_name(service)
    secure = name.startswith("__Host-")
    response.set_cookie(name, token, path="/", httponly=True, samesite="lax", secure=secure)


def _find(request: Request, service: Service, *, acts: bool) -> SignedIn:
    token = request.cookies.get(cookie_name(service), "")
    found = find_signed_in(service.engine, token, service.clinic.signing_in, acts=acts)
    if found is None:
        raise SignInNeeded
    demand(request, found.person)
    return found


def who_reads(request: Request, service: TheService) -> SignedIn:
    """Whoever of the staff asks for a page; to the sign-in otherwise, and Problem 403. A page that
    renews itself (`X-Live`) keeps nobody signed in."""
    return _find(request, service, acts="x-live" not in request.headers)


def who_watches(request: Request, service: TheService) -> SignedIn:
    """The same for what an open page asks by itself, which keeps nobody signed in."""
    return _find(request, service, acts=False)


def who_acts(request: Request, service: TheService, fields: TheForm) -> SignedIn:
    """Whoever posts one of our forms. Problem 403 for one that is not ours (CWE-352): it lacks what
    the form carries, or the browser says that another site sent it (w3.org/TR/fetch-metadata)."""
    found = _find(request, service, acts=True)
    demand_same_site(request)
    if not is_csrf(found, str(fields.get("csrf", ""))):
        raise Problem(403, "the form is too old, or not ours; go back and try again")
    return found


def demand_same_site(request: Request) -> None:
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Problem(403, "another website sent this form")


#: The dependencies that check a page's role.
GUARDS = (who_reads, who_watches, who_acts)

Reader = Annotated[SignedIn, Depends(who_reads)]
Watcher = Annotated[SignedIn, Depends(who_watches)]
Actor = Annotated[SignedIn, Depends(who_acts)]


def text_of(fields: Fields, name: str, most: int = 200) -> str:
    """One field of a form as text; Problem 422 for what is no such text."""
    value = fields.get(name, "")
    if not isinstance(value, str) or len(value) > most or "\x00" in value:
        raise Problem(422, f"{name}: must be one text of at most {most} characters")
    return value.strip()


def faults_of(error: Invalid) -> dict[str, str]:
    return {fault.field: fault.problem for fault in error.faults}


def staff_page(
    service: Service,
    template: str,
    signed_in: SignedIn | None,
    *,
    status: int = 200,
    scripted: bool = False,
    headers: Mapping[str, str] | None = None,
    **facts: Any,
) -> HTMLResponse:
    """`templates/pages/staff/TEMPLATE`, in the language of the staff."""
    person = signed_in.person if signed_in else None
    may = {name for name in ACCESS if person is not None and may_use(name, person)}
    if not service.clinic.webhooks:
        may.discard("GET /staff/webhooks")
    return render_page(
        service,
        f"staff/{template}",
        language=service.clinic.default_language,
        status=status,
        scripted=scripted,
        headers=headers,
        signed_in=signed_in,
        may=may,
        **facts,
    )
