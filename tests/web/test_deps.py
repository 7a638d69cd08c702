"""Bodies of every kind: what cannot be read, and what is too large, is refused as a problem."""

import json
from collections.abc import Iterator

import pytest

from tests.web.caller import ALICE, Caller, faults

JSON = "application/json"
URLENCODED = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        pytest.param(JSON, b"", 400, id="nothing"),
        pytest.param(JSON, b"{", 400, id="half a body"),
        pytest.param(JSON, b'{"name": "\xff"}', 400, id="not UTF-8"),
        pytest.param(JSON, b'{"name": NaN}', 400, id="not a number"),
        pytest.param(JSON, b'{"n": ' + b"9" * 5000 + b"}", 400, id="an integer without end"),
        pytest.param(JSON, b"[" * 30_000, 400, id="lists without end"),
        pytest.param(JSON, b"[]", 422, id="a list"),
        pytest.param(JSON, b"null", 422, id="null"),
        pytest.param(URLENCODED, b"name=%ff", 400, id="a form not in UTF-8"),
        pytest.param(URLENCODED, b"name=\xff", 400, id="raw bytes in a form"),
        pytest.param(URLENCODED, b"&".join([b"a=1"] * 201), 400, id="too many fields"),
        pytest.param("multipart/form-data", b"--x", 400, id="multipart without boundary"),
        pytest.param("multipart/form-data; boundary=x", b"rubbish", 400, id="not multipart"),
        pytest.param("text/plain", b"name=Alice", 415, id="text"),
        pytest.param("application/xml", b"<a/>", 415, id="xml"),
        pytest.param("", b"{}", 415, id="no type"),
        pytest.param(f"{JSON}; charset=utf-16", "{}".encode("utf-16"), 415, id="JSON in UTF-16"),
        pytest.param(
            "multipart/form-data; boundary=x; charset=unicode_escape",
            b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\n\\ud800\r\n--x--\r\n',
            415,
            id="multipart in an encoding that makes half characters",
        ),
        pytest.param(JSON, b" " * (64 * 1024 + 1), 413, id="one byte too many"),
        pytest.param(
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"a" * 65_536,
            413,
            id="multipart too large",
        ),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_as_a_problem(
    api: Caller, kind: str, body: bytes, status: int
) -> None:
    answer = api.http.post("/submissions/contact", content=body, headers={"Content-Type": kind})

    faults(answer)
    assert answer.status_code == status


def test_a_body_of_exactly_the_limit_is_read(api: Caller) -> None:
    body = json.dumps(dict(ALICE)).encode().ljust(64 * 1024)
    headers = {"Content-Type": JSON}

    assert api.http.post("/submissions/contact", content=body, headers=headers).status_code == 202


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/submissions/contact", JSON),
        ("/submissions/contact", "multipart/form-data; boundary=x"),
        ("/admin/leads/search", JSON),
        ("/admin/leads/search", "text/plain"),
        ("/act/x", "multipart/form-data; boundary=x"),
        ("/webhooks/twilio/inbound", URLENCODED),
    ],
)
def test_a_body_without_a_length_is_cut_off_at_the_limit(api: Caller, path: str, kind: str) -> None:
    def without_end() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n'
        for _ in range(100):
            yield b" " * 8192

    answer = api.http.post(path, content=without_end(), headers={"Content-Type": kind})

    assert answer.status_code == 413
    faults(answer)


@pytest.mark.parametrize("length", [b"\xb2", b"9" * 5000, b"-1", b"65537"])
def test_a_content_length_that_lies_is_no_error_of_ours(api: Caller, length: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", length)]
    answer = api.http.post("/submissions/contact", content=b"{}", headers=headers)

    assert answer.status_code in (413, 422)
