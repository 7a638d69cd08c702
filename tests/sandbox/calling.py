"""Plain HTTP for the tests, without any of the sandbox's own code."""

import json
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPRedirectHandler, Request, build_opener


class _Stay(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = build_opener(_Stay)


def call(
    method: str,
    url: str,
    *,
    data: object = None,
    form: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, str, dict[str, str]]:
    """Status, body and headers (names in lower case), of an error answer too."""
    body = json.dumps(data).encode() if data is not None else None
    body = urlencode(form).encode() if form is not None else body
    kind = "application/x-www-form-urlencoded" if form is not None else "application/json"
    request = Request(url, body, {"Content-Type": kind, **(headers or {})}, method=method)  # noqa: S310
    try:
        with _OPENER.open(request, timeout=10) as response:
            text = response.read().decode()
            return response.status, text, {k.lower(): v for k, v in response.headers.items()}
    except HTTPError as error:
        with error:
            text = error.read().decode()
            return error.code, text, {k.lower(): v for k, v in error.headers.items()}


def get_json(url: str) -> Any:
    return json.loads(call("GET", url)[1])
