"""Who may use which route: one table, which is what the server does.

The application does not start with a route that has no line here, nor with one that asks for a role
and has nobody to check it.
"""

from collections.abc import Mapping
from enum import IntEnum

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.requests import Request

from followup.services.staffing import StaffRole
from followup.store.models import Person
from followup.web.problems import Problem


class Access(IntEnum):
    """Each may do what those before it may."""

    #: Whoever comes.
    anybody = 0
    #: Whoever brings a proof that the route itself looks at: a signature, or a signed link.
    proven = 1
    staff = 2
    manager = 3
    admin = 4


_RANK: Mapping[str, Access] = {role.value: Access[role.value] for role in StaffRole}

_A, _P = Access.anybody, Access.proven
_S, _M, _D = Access.staff, Access.manager, Access.admin

ACCESS: Mapping[str, Access] = {
    "GET /": _A,
    "GET /healthz": _A,
    "GET /readyz": _A,
    "GET /metrics": _A,
    "GET /docs": _A,
    # Patients.
    "GET /forms": _A,
    "GET /forms/contact": _A,
    "GET /forms/screening": _A,
    "POST /forms/contact": _A,
    "POST /forms/screening": _A,
    "GET /forms/received/{submission_id}": _A,
    "POST /submissions/contact": _A,
    "POST /submissions/screening": _A,
    "GET /embed.js": _A,
    "GET /logo/{name}": _A,
    "GET /unsubscribe/{token}": _P,
    "POST /unsubscribe/{token}": _P,
    # Providers.
    "POST /webhooks/twilio/status/{delivery_id}": _P,
    "POST /webhooks/twilio/inbound": _P,
    "POST /webhooks/mail/{provider}": _P,
    "POST /webhooks/forms/{source}": _P,
    "POST /webhooks/forms/{source}/{key}": _P,
    # Staff from an alert's link.
    "GET /act/{token}": _P,
    "POST /act/{token}": _P,
    # Staff with a token.
    "GET /admin/leads": _S,
    "POST /admin/leads/search": _S,
    "GET /admin/leads/{lead_id}": _S,
    "POST /admin/leads/{lead_id}/contacted": _S,
    "POST /admin/leads/{lead_id}/attempts": _S,
    "POST /admin/leads/{lead_id}/notes": _S,
    "POST /admin/leads/{lead_id}/snooze": _S,
    "POST /admin/leads/{lead_id}/assign": _S,
    "POST /admin/leads/{lead_id}/close": _S,
    "POST /admin/leads/{lead_id}/merge": _S,
    "POST /admin/leads/{lead_id}/reopen": _S,
    "POST /admin/leads/{lead_id}/opt-out": _S,
    "POST /admin/leads/{lead_id}/opt-in": _S,
    "POST /admin/leads/{lead_id}/release": _S,
    "POST /admin/leads/{lead_id}/reject": _S,
    "POST /admin/held/release": _M,
    "POST /admin/held/reject": _M,
    "GET /admin/replies/unassigned": _S,
    "GET /admin/submissions/problems": _S,
    "GET /admin/submissions/spam": _S,
    "POST /admin/submissions/{submission_id}/release": _S,
    "POST /admin/submissions/{submission_id}/reject": _S,
    "GET /admin/stats": _S,
    # Staff's pages.
    "GET /staff/sign-in": _A,
    "POST /staff/sign-in": _A,
    "GET /staff/welcome": _A,
    "POST /staff/welcome": _A,
    "POST /staff/sign-out": _S,
    "GET /staff": _S,
    "GET /staff/events": _S,
    "POST /staff/search": _S,
    "GET /staff/leads/{lead_id}": _S,
    "POST /staff/leads/{lead_id}/contacted": _S,
    "POST /staff/leads/{lead_id}/attempts": _S,
    "POST /staff/leads/{lead_id}/notes": _S,
    "POST /staff/leads/{lead_id}/snooze": _S,
    "POST /staff/leads/{lead_id}/assign": _S,
    "POST /staff/leads/{lead_id}/reopen": _S,
    "GET /staff/problems": _S,
    "POST /staff/problems/{submission_id}/replay": _S,
    "POST /staff/problems/{submission_id}/reject": _S,
    "POST /staff/leads/{lead_id}/close": _S,
    "POST /staff/leads/{lead_id}/merge": _S,
    "POST /staff/leads/{lead_id}/opt-out": _S,
    "POST /staff/leads/{lead_id}/opt-in": _S,
    "POST /staff/leads/{lead_id}/release": _S,
    "POST /staff/leads/{lead_id}/reject": _S,
    "GET /staff/insights": _M,
    "GET /staff/insights.csv": _M,
    "GET /staff/account": _S,
    "POST /staff/account/password": _S,
    "POST /staff/account/codes": _S,
    "POST /staff/account/codes/end": _S,
    "POST /staff/account/sign-ins/end": _S,
    "GET /staff/people": _D,
    "POST /staff/people": _D,
    "GET /staff/people/{person_id}": _D,
    "POST /staff/people/{person_id}": _D,
    "POST /staff/people/{person_id}/token": _D,
    "POST /staff/people/{person_id}/codes/end": _D,
    "POST /staff/people/{person_id}/sign-ins/end": _D,
    "POST /staff/people/{person_id}/disable": _D,
    "GET /staff/webhooks": _D,
    "POST /staff/webhooks/dead/resend": _D,
    "POST /staff/webhooks/dead/{announcement_id}/resend": _D,
    "POST /staff/webhooks/{name}/start": _D,
}


def demand(request: Request, person: Person) -> None:
    """Problem 403 unless the person's role may use the route."""
    name = _name(request.method, request.scope["route"].path)
    if not may_use(name, person):
        raise Problem(403, f"this needs the role {ACCESS[name].name}")


def may_use(name: str, person: Person) -> bool:
    """Whether the person may use a route, named as in the table."""
    return _RANK[person.role] >= ACCESS[name]


def check_access(app: FastAPI, *guards: object) -> None:
    """Raises AssertionError for a route without a line, or with a role and none of the `guards`,
    the dependencies that call `demand`; and for a line without a route."""
    seen = set()
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, APIRoute):
            for method in route.methods or ():
                name = _name(method, context.path or "")
                seen.add(name)
                _check(name, route.dependant, guards)
    unused = sorted(set(ACCESS) - seen)
    if unused:
        raise AssertionError(f"access is given to what is not there: {', '.join(unused)}")


def _check(name: str, dependant: Dependant, guards: tuple[object, ...]) -> None:
    if name not in ACCESS:
        raise AssertionError(f"nobody has said who may use {name}")
    is_guarded = any(_uses(dependant, guard) for guard in guards)
    if is_guarded != (ACCESS[name] >= Access.staff):
        raise AssertionError(f"what {name} checks is not what the table says")


def _uses(dependant: Dependant, guard: object) -> bool:
    return dependant.call is guard or any(_uses(one, guard) for one in dependant.dependencies)


def _name(method: str, path: str) -> str:
    return f"{method} {path}"
