"""Around every route: no body is too large or too slow, no error escapes, headers stand, one line
is logged."""

import asyncio
import uuid
from collections.abc import Mapping

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from followup.logs import places_of
from followup.web.problems import Problem, problem_response

log = structlog.get_logger()

#: Bytes of a body; the longest legal form has about 12 KiB.
BODY_LIMIT = 64 * 1024
#: Mail providers send their events in batches.
BATCH_LIMIT = 1024 * 1024
BATCHES = "/webhooks/mail/"
#: Form vendors send their form's definition with each submission.
VENDOR_LIMIT = 256 * 1024
VENDORS = "/webhooks/forms/"

#: Seconds from a request's head to the end of its body; a form's is one packet or two.
BODY_WITHIN = 20.0

#: On every answer: answers hold personal data or secrets in their address, so nobody keeps them
#: and nobody is told where the visitor came from. Pages have a policy of their own.
HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
#: Where the public address is one with TLS; for its host alone, whose neighbours are the clinic's.
HSTS: Mapping[str, str] = {"Strict-Transport-Security": "max-age=31536000"}


class Edge:
    """The outermost part of the application."""

    def __init__(
        self, app: ASGIApp, has_tls: bool = False, body_within: float = BODY_WITHIN
    ) -> None:
        self._app = app
        self._headers = {**HEADERS, **(HSTS if has_tls else {})}
        self._body_within = body_within

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            exchange = _Exchange(scope, receive, send, self._headers, self._body_within)
            await exchange.run(self._app)
        else:
            await self._app(scope, receive, send)


class _Exchange:
    """One request and its answer."""

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        headers: Mapping[str, str],
        body_within: float,
    ) -> None:
        self._headers = headers
        self._read_by = asyncio.get_running_loop().time() + body_within
        self._is_read = False
        self._method: str = scope["method"]
        # RFC 9110 §9.1: who answers GET answers HEAD. The server leaves the body out.
        self._scope = {**scope, "method": "GET"} if self._method == "HEAD" else scope
        self._receive, self._send = receive, send
        self._limit = _limit_of(scope["path"])
        self._read = 0
        self._status: int | None = None

    async def run(self, app: ASGIApp) -> None:
        try:
            if _declared_length(self._scope) > self._limit:
                raise _too_large(self._limit)
            await app(self._scope, self._limited, self._answer)
        except Problem as problem:
            await self._fail(problem)
        except Exception as error:  # the last resort: nothing of it may reach the caller or the log
            await self._fail(_unexpected(error))
        self._log()

    async def _limited(self) -> Message:
        message = await self._receive() if self._is_read else await self._next_part()
        self._read += len(message.get("body", b""))
        if self._read > self._limit:
            raise _too_large(self._limit)
        return message

    async def _next_part(self) -> Message:
        try:
            async with asyncio.timeout_at(self._read_by):
                message = await self._receive()
        except TimeoutError:
            raise _too_slow() from None
        self._is_read = not message.get("more_body", False)
        return message

    async def _answer(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            known = {name.lower() for name, _ in message["headers"]}
            added = [
                (name.lower().encode(), value.encode())
                for name, value in self._headers.items()
                if name.lower().encode() not in known
            ]
            message = {**message, "headers": [*message["headers"], *added]}
        await self._send(message)

    async def _fail(self, problem: Problem) -> None:
        if self._status is None:
            await problem_response(problem)(self._scope, self._receive, self._answer)

    def _log(self) -> None:
        """With the route's pattern: a path may hold a token (promise P6)."""
        log.info(
            "answered",
            method=self._method if self._method.isalpha() else "?",
            route=getattr(self._scope.get("route"), "path", "unknown"),
            status=self._status,
        )


def _limit_of(path: str) -> int:
    if path.startswith(BATCHES):
        return BATCH_LIMIT
    return VENDOR_LIMIT if path.startswith(VENDORS) else BODY_LIMIT


def _declared_length(scope: Scope) -> int:
    """What Content-Length says; 0 without one, and more than any limit when it is absurd."""
    text = dict(scope["headers"]).get(b"content-length", b"0")
    if not text.isdigit():
        return 0
    return int(text) if len(text) < 10 else BATCH_LIMIT + 1


def _too_large(limit: int) -> Problem:
    # What is still on its way is not waited for.
    close = {"Connection": "close"}
    return Problem(413, f"the body must have at most {limit} bytes", headers=close)


def _too_slow() -> Problem:
    return Problem(408, "the body took too long to arrive", headers={"Connection": "close"})


def _unexpected(error: Exception) -> Problem:
    number = uuid.uuid4().hex[:8]
    log.error(
        "a request failed",
        error=type(error).__name__,
        number=number,
        places=places_of(error),
    )
    return Problem(500, f"unexpected; the log has it as {number}")
