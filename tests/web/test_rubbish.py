"""What people and machines send that nobody meant: never an error of ours, always data."""

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from followup.domain.cadence import Lane
from tests.web.caller import ALICE, Caller, faults

#: The same on every run; each example is a request or several.
BOUNDED = settings(
    max_examples=60,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
DOORS = [
    "/submissions/contact",
    "/submissions/screening",
    "/admin/leads/search",
    "/act/x",
    "/unsubscribe/x",
    "/webhooks/twilio/inbound",
]
CONTENT_TYPES = [
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "multipart/form-data",
    "multipart/form-data; boundary=",
    'application/json; charset="utf-16"',
    "text/html",
    "\xff",
    "",
]
#: Half characters, NUL, marks that turn the direction, and whatever else there is.
ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=30)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    [*ALICE, "role", "interest", "language", "consent_text_version", "source_url", "answers"]
)
SHAPED = st.binary(max_size=200) | st.builds(
    lambda head, rubbish, tail: head + rubbish + tail,
    st.sampled_from([b"{", b'{"name": "', b"name=", b"a=%", b"--x\r\n", b"[" * 2000, b"9" * 5000]),
    st.binary(max_size=60),
    st.sampled_from([b"", b"}", b'"}', b"\r\n--x--\r\n", b"&" * 300]),
)


@pytest.mark.parametrize("door", DOORS)
def test_no_body_in_any_encoding_is_an_error_of_ours(
    api: Caller, dana: dict[str, str], door: str
) -> None:
    @BOUNDED
    @given(
        body=SHAPED, kind=st.sampled_from(CONTENT_TYPES), accept=st.sampled_from(["", "text/html"])
    )
    def never_fails(body: bytes, kind: str, accept: str) -> None:
        headers = {**dana, "Content-Type": kind, "Accept": accept}
        raw = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
        answer = api.http.post(door, content=body, headers=raw)

        assert answer.status_code < 500, (kind, body)
        if not answer.headers["content-type"].startswith("text/html"):
            faults(answer)

    never_fails()


def test_no_json_is_an_error_of_ours_and_what_is_taken_is_shown_as_it_was_sent(
    api: Caller, dana: dict[str, str]
) -> None:
    taken = []

    @BOUNDED
    @given(st.dictionaries(ANY_TEXT | FIELDS, ANY_JSON, max_size=4))
    def never_fails(fields: dict[str, Any]) -> None:
        body = json.dumps({**ALICE, **fields})
        sent = api.http.post(
            "/submissions/screening", content=body, headers={"Content-Type": "application/json"}
        )
        assert sent.status_code in (202, 400, 422), body
        if sent.status_code != 202:
            faults(sent)
            return
        api.consume()
        query = f"?submission={sent.json()['submission_id']}"
        (lead,) = api.http.get(f"/admin/leads{query}", headers=dana).json()["items"]
        whole = api.whole(dana, lead["id"])
        shown = {one["id"]: one["fields"] for one in whole["submissions"]}
        taken.append(fields)
        assert shown[sent.json()["submission_id"]] == json.loads(body)

    never_fails()

    assert any(set(fields) - set(ALICE) for fields in taken), "something odd was taken"


HOSTILE = [
    pytest.param("{{ 7*7 }}", id="template"),
    pytest.param("{% for x in range(9) %}a{% endfor %}", id="template statement"),
    pytest.param("${7*7} #{7*7} <%= 7*7 %>", id="other templates"),
    pytest.param("<script>alert(1)</script>", id="script"),
    pytest.param('"><img src=x onerror=alert(1)>', id="attribute"),
    pytest.param("Al' OR '1'='1'; DROP TABLE leads; --", id="statement"),
    pytest.param("%s %(name)s {0} {name}", id="format"),
    pytest.param("\u202eecilA", id="turned around"),
    pytest.param("=cmd|' /C calc'!A0", id="spreadsheet"),
    pytest.param("[click](https://evil.example.com) **b**", id="markdown"),
    pytest.param("Bcc: bob@example.com", id="header"),
]


@pytest.mark.parametrize("words", HOSTILE)
def test_a_name_and_a_message_are_data_wherever_they_are_shown(
    api: Caller, dana: dict[str, str], words: str
) -> None:
    sent = api.http.post("/submissions/contact", json={**ALICE, "name": words, "message": words})
    if sent.status_code == 422:
        assert set(faults(sent)) == {"name"}, "a name that hides something is refused"
        return
    api.consume()
    (lead,) = api.http.get("/admin/leads", headers=dana).json()["items"]
    messages = api.send_due(Lane.ack)

    assert lead["name"] == words
    assert {message.to for message in messages} == {"alice@example.com", "+14155550101"}
    for message in messages:
        for part in (message.subject, message.text, message.html or "", *message.headers.values()):
            assert not re.search(r"\b49\b|aaaa", part)
            for piece in ("evil", "alert(1)", "DROP", "cmd|", "{{", "{%", "Bcc", "%s"):
                assert piece not in part


class _Typed(HTMLParser):
    """Reads a form as a browser does: what stands in its fields, and whether anything would run."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, str] = {}
        self.runs = 0
        self._in = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.runs += tag in ("script", "img") or any(name.startswith("on") for name in given)
        name = given.get("name") or ""
        if tag == "textarea":
            self._in = name
            self.values[name] = ""
        elif tag == "input" and name in ("name", "email"):
            self.values[name] = given.get("value") or ""

    def handle_endtag(self, tag: str) -> None:
        self._in = "" if tag == "textarea" else self._in

    def handle_data(self, data: str) -> None:
        if self._in:
            self.values[self._in] += data


@pytest.mark.parametrize("words", HOSTILE)
def test_a_form_that_comes_back_shows_the_words_as_they_were_typed(api: Caller, words: str) -> None:
    typed = {"name": words, "message": words, "email": words}
    page = api.http.post("/submissions/contact", data=typed, headers={"Accept": "text/html"})

    assert page.status_code == 422
    fields = _Typed()
    fields.feed(page.text)
    assert fields.values["message"].removeprefix("\n") == words
    assert (fields.values["name"], fields.values["email"]) == (words, words)
    assert fields.runs == 0
