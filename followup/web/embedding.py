"""Which other websites' pages may read our answers in a visitor's browser (the Fetch standard's
CORS protocol, fetch.spec.whatwg.org/#http-cors-protocol): those of the clinic's list, on the routes
that a form needs, and without credentials."""

from collections.abc import Callable, Collection, Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Every route that another website's page may use, and how.
ROUTES: Mapping[str, str] = {
    "/forms": "GET",
    "/submissions/contact": "POST",
    "/submissions/screening": "POST",
}
HEADERS = frozenset({"content-type", "idempotency-key", "accept"})
#: Seconds for which a browser need not ask again.
MAX_AGE = 600


class Embedding:
    """Answers a browser's question, and marks the answers that its page may read."""

    def __init__(self, app: ASGIApp, origins: Callable[[], Collection[str]]) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = ROUTES.get(scope["path"]) if scope["type"] == "http" else None
        if method is None:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin", "")
        is_allowed = origin in self._origins()
        if scope["method"] == "OPTIONS" and is_allowed and _is_fine(headers, method):
            await _permission(origin, method)(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                # A cache between us must not hand one website's answer to another.
                added = MutableHeaders(scope=message)
                added.add_vary_header("Origin")
                if is_allowed:
                    added["Access-Control-Allow-Origin"] = origin
                    added["Access-Control-Expose-Headers"] = "Retry-After"
            await send(message)

        await self._app(scope, receive, answer)


def _is_fine(headers: Headers, method: str) -> bool:
    asked = headers.get("access-control-request-headers", "").lower().split(",")
    wanted = {name.strip() for name in asked if name.strip()}
    return headers.get("access-control-request-method") == method and wanted <= HEADERS


def _permission(origin: str, method: str) -> Response:
    return Response(
        status_code=204,
        headers={
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Methods": method,
            "Access-Control-Allow-Headers": ", ".join(sorted(HEADERS)),
            "Access-Control-Max-Age": str(MAX_AGE),
            "Vary": "Origin",
        },
    )
