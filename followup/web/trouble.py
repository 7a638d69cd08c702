"""Errors for whoever called: a page with the clinic's number for a browser, which a patient looks
at, and the problem itself for a program."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from followup.bootstrap import Service
from followup.errors import FollowupError
from followup.store.db import UNUSABLE
from followup.web.page import render_page
from followup.web.problems import TITLES, Problem, from_error, no_database


class PatientRoute(APIRoute):
    """A route that patients' browsers open."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_for_anybody(request: Request) -> Response:
            try:
                return await handle(request)
            except (Problem, FollowupError, RequestValidationError, *UNUSABLE) as error:
                if not asks_for_page(request):
                    raise
                return _page(request, problem_of(error))

        return handle_for_anybody


def asks_for_page(request: Request) -> bool:
    """As browsers do when somebody sends a form or opens a link."""
    return "text/html" in request.headers.get("accept", "")


def problem_of(error: Exception) -> Problem:
    """Of one that such a route may raise."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, FollowupError):
        return from_error(error)
    if isinstance(error, RequestValidationError):
        return Problem(422, TITLES[422])
    return no_database(error)


def _page(request: Request, problem: Problem) -> Response:
    service: Service = request.app.state.service
    is_gone = problem.status_code == 404
    return render_page(
        service,
        "gone.html" if is_gone else "trouble.html",
        language=service.clinic.default_language,
        status=problem.status_code,
        headers=problem.headers,
        framed=True,
        in_frame=request.query_params.get("framed") == "1",
    )
