"""Errors for whoever called: a page with the clinic's number for a browser, which a patient looks
at, and the problem itself for a program."""

from collections.abc import Callable, Coroutine
from typing import Any, cast

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from followup.bootstrap import Service
from followup.errors import FollowupError
from followup.store.db import UNUSABLE
from followup.web.page import render_page
from followup.web.problems import TITLES, Problem, from_error, no_database

#: No such address; or one that is only posted to, such as by a form.
_NOWHERE = (404, 405)


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


def add_pages(app: FastAPI) -> None:
    """A browser that asks for what is not there sees a page; a program still gets its problem."""
    answer = app.exception_handlers[HTTPException]

    @app.exception_handler(HTTPException)
    def _nowhere(request: Request, error: HTTPException) -> Response:
        told = cast(Response, answer(request, error))
        if request.method == "GET" and error.status_code in _NOWHERE and asks_for_page(request):
            allowed = {"Allow": told.headers["Allow"]} if "Allow" in told.headers else {}
            return _page(request, Problem(error.status_code, error.detail, headers=allowed))
        return told


def _page(request: Request, problem: Problem) -> Response:
    service: Service = request.app.state.service
    return render_page(
        service,
        "trouble.html",
        language=service.clinic.default_language,
        status=problem.status_code,
        headers=problem.headers,
        trouble="gone" if problem.status_code in _NOWHERE else "trouble",
        framed=True,
        in_frame=request.query_params.get("framed") == "1",
    )
