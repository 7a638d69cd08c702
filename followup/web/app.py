"""The API: routes, errors, health. Built around a service and a bell that are handed in."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from sqlalchemy.exc import SQLAlchemyError

from followup import __version__
from followup.bell import Bell
from followup.bootstrap import Service
from followup.services import watching
from followup.store.db import missing_migrations
from followup.watchman import Watchman
from followup.web import (
    admin,
    admin_review,
    assets,
    form_webhooks,
    forms,
    mail_webhooks,
    measuring,
    pages,
    reference,
    webhooks,
)
from followup.web.access import check_access
from followup.web.deps import TheService, current_person
from followup.web.edge import Edge
from followup.web.embedding import Embedding
from followup.web.problems import add_handlers
from followup.web.proxies import Proxies
from followup.web.staff import (
    account,
    acts,
    board,
    entrance,
    insights,
    lead,
    live,
    people,
    problems,
)
from followup.web.staff import webhooks as outward
from followup.web.staff.shell import GUARDS
from followup.web.trouble import add_pages


def create_app(
    service: Service,
    bell: Bell,
    broker_is_there: Callable[[], bool] = lambda: True,
    watchman: Watchman | None = None,
) -> FastAPI:
    """The application; `broker_is_there` is asked by `/readyz` alone."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        bell.start()
        if watchman is not None:
            watchman.start()
        yield
        if watchman is not None:
            watchman.stop()
        bell.stop()

    app = FastAPI(
        title="followup",
        version=__version__,
        summary="Acknowledges submissions, and reminds staff until a person has called.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        # Behind a proxy that ends TLS, such a redirect would send what was posted to http://.
        redirect_slashes=False,
    )
    app.state.service = service
    app.state.bell = bell
    app.state.watch = live.Watch()
    app.state.mail_memory = mail_webhooks.Memory()
    app.state.broker_is_there = broker_is_there
    add_handlers(app)
    add_pages(app)
    for module in (
        forms,
        assets,
        admin,
        admin_review,
        webhooks,
        mail_webhooks,
        form_webhooks,
        pages,
        measuring,
        reference,
        entrance,
        board,
        lead,
        acts,
        live,
        account,
        people,
        problems,
        insights,
        outward,
    ):
        app.include_router(module.router)
    # The last that is added is the first that a request meets.
    app.add_middleware(Embedding, origins=lambda: app.state.service.clinic.origins)
    app.add_middleware(Edge, has_tls=service.settings.public_url.startswith("https:"))
    app.add_middleware(Proxies, trusted=lambda: app.state.service.settings.trusted_proxies)
    _add_health(app)
    check_access(app, current_person, *GUARDS)
    return app


def _add_health(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    def home() -> Response:
        return RedirectResponse("/forms/contact", status_code=303)

    @app.get("/healthz", summary="This process is alive")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get(
        "/readyz",
        summary="Whether submissions can be taken, and the state of each dependency",
        responses={503: {"description": "No database, or migrations are missing"}},
    )
    def readyz(service: TheService, request: Request) -> Response:
        """200 while submissions can be taken; what else is wrong is named as degraded."""
        state: dict[str, Any] = {"database": _database_state(service)}
        state["broker"] = "ok" if request.app.state.broker_is_there() else "degraded"
        is_ready = state["database"] == "ok"
        if is_ready:
            state |= watching.health(service.engine)
        is_degraded = "degraded" in state.values() or bool(state.get("alarms"))
        words = "degraded" if is_degraded else "ok"
        return JSONResponse(
            {"status": words if is_ready else "unavailable", **state},
            status_code=200 if is_ready else 503,
        )


def _database_state(service: Service) -> str:
    try:
        return "migrations missing" if missing_migrations(service.engine) else "ok"
    except SQLAlchemyError:
        return "unreachable"
