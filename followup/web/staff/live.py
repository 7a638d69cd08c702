"""Tells open pages that something has changed: server-sent events, one look at the store for all of
a process (html.spec.whatwg.org/multipage/server-sent-events.html)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from followup.bootstrap import Service
from followup.services.signing_in import find_signed_in
from followup.store import ledger
from followup.store.db import reading
from followup.web.deps import TheService
from followup.web.staff.shell import PageRoute, Watcher, cookie_name

#: Seconds between two looks while somebody watches.
LOOK_EVERY = 0.5
#: Seconds after which a stream that had nothing to say says so, for what stands between us.
BREATHE_EVERY = 15.0

router = APIRouter(prefix="/staff", route_class=PageRoute, include_in_schema=False)


class Watch:
    """What the newest rows are, looked at by one stream for all the others of the process."""

    def __init__(self) -> None:
        self._state: Any = None
        self._looked_at = 0.0
        self._lock = asyncio.Lock()

    async def state(self, service: Service) -> Any:
        async with self._lock:
            now = asyncio.get_running_loop().time()
            if now - self._looked_at >= LOOK_EVERY:
                self._state = await run_in_threadpool(_look, service)
                self._looked_at = now
            return self._state


def _look(service: Service) -> Any:
    try:
        with reading(service.engine) as session:
            return ledger.newest_ids(session)
    except SQLAlchemyError:
        return None


@router.get("/events")
async def events(request: Request, service: TheService, watcher: Watcher) -> Response:
    """One word whenever a page should be asked for anew; it ends with the sign-in."""
    token = request.cookies.get(cookie_name(service), "")
    watch: Watch = request.app.state.watch

    async def stream() -> AsyncIterator[str]:
        loop = asyncio.get_running_loop()
        seen, spoken_at = await watch.state(service), loop.time()
        yield "retry: 2000\n\n"
        while not await request.is_disconnected():
            await asyncio.sleep(LOOK_EVERY)
            state = await watch.state(service)
            is_new = state != seen
            if not is_new and loop.time() - spoken_at < BREATHE_EVERY:
                continue
            if not await run_in_threadpool(_is_signed_in, service, token):
                yield "event: ended\ndata:\n\n"
                return
            seen, spoken_at = state, loop.time()
            yield "event: changed\ndata:\n\n" if is_new else ": still here\n\n"

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(stream(), media_type="text/event-stream", headers=headers)


def _is_signed_in(service: Service, token: str) -> bool:
    rules = service.clinic.signing_in
    return find_signed_in(service.engine, token, rules, acts=False) is not None
