"""Nothing personal and no secret is ever logged, whatever happens to a lead (promise P6)."""

import json
import re
from collections.abc import Callable
from datetime import timedelta

from followup.web.door import HONEYPOT
from tests.web.caller import PUBLIC_URL, TOKENS, Caller

MARKED = {
    "name": "Marguerite Xylander",
    "email": "marked-mail@example.com",
    "phone": "(415) 555-0177",
    "message": "marked-message",
    "utm": "marked-field",
}


def live(api: Caller) -> list[str]:
    """Everything that can happen to a lead. Returns the secrets that took part."""
    dana = api.staff()
    lead = api.lead(dana, **MARKED)
    sent = api.send_due()
    act = re.findall(rf"{PUBLIC_URL}(/act/[^\s)]+)", " ".join(one.text for one in sent))[0]
    mail = next(one for one in sent if "List-Unsubscribe" in one.headers)
    unsubscribe = mail.headers["List-Unsubscribe"].strip("<>").removeprefix(PUBLIC_URL)
    text = {"MessageSid": "SM1", "From": "+14155550177", "Body": "STOP marked-reply"}
    for fields in (text, text, {**text, "MessageSid": "SM2", "Body": "STOP"}):
        assert api.twilio("/webhooks/twilio/inbound", fields).status_code == 200
    assert api.twilio("/webhooks/twilio/inbound", text, token="wrong").status_code == 403
    for number, sender in (("SM3", "+14155550177"), ("SM4", "+14155550178")):
        fields = {"MessageSid": number, "From": sender, "Body": "I am suicidal, marked-reply"}
        assert api.twilio("/webhooks/twilio/inbound", fields).status_code == 200
    for message in ("marked-message", "suicidal", " http://marked" * 3):
        trapped = {**MARKED, "message": message, HONEYPOT: "marked-trap"}
        assert api.http.post("/submissions/contact", data=trapped).status_code in (200, 202)
    for path in ("submissions/spam", "submissions/problems", "replies/unassigned"):
        assert api.http.get(f"/admin/{path}", headers=dana).status_code == 200
    for path in (act, unsubscribe, f"/admin/leads?reference={lead['reference']}"):
        assert api.http.get(path, headers=dana).status_code == 200
    for q in ("Xylander", "marked-mail@example.com", "415 555 0177"):
        api.http.post("/admin/leads/search", headers=dana, json={"q": q})
    assert api.http.post(unsubscribe).status_code == 200
    assert api.http.post(act).status_code == 200
    refuse(api, dana)
    return [act, unsubscribe, dana["Authorization"], *TOKENS]


def refuse(api: Caller, dana: dict[str, str]) -> None:
    """What goes wrong, with the same words in it."""
    for path in ("/submissions/contact", "/submissions/screening"):
        key = {"Idempotency-Key": "marked-key"}
        for body in ({**MARKED, "email": "marked-mail@"}, MARKED, {**MARKED, "message": "other"}):
            api.http.post(path, json=body, headers=key)
        api.http.post(path, content=json.dumps(MARKED)[:-2], headers={"Content-Type": "text/x"})
    api.http.post("/admin/leads/search", headers=dana, json={"q": 1, "Xylander": "marked-mail@"})
    api.http.get("/admin/leads?reference=marked-mail@example.com", headers=dana)
    api.http.get("/marked-path?marked-query")
    api.http.get("/admin/leads", headers={"Authorization": "Bearer marked-token"})
    api.clock.pass_by(timedelta(days=1))
    api.consume()
    api.send_due()


def test_a_whole_life_leaves_nothing_personal_in_the_log(
    api: Caller, logged: Callable[[], str]
) -> None:
    secrets = live(api)
    lines = logged()

    assert '"route": "/act/{token}"' in lines, "requests are logged, by their pattern"
    assert "Alice" not in lines
    assert not re.search(r"(?i)marguerite|xylander|marked|suicid|555.?017[78]", lines)
    for secret in secrets:
        assert secret.rsplit("/", 1)[-1].removeprefix("Bearer ") not in lines


def test_each_request_is_one_line_with_its_outcome(api: Caller, logged: Callable[[], str]) -> None:
    api.http.get("/healthz")
    api.http.get("/nowhere")
    lines = [json.loads(line) for line in logged().splitlines()]
    answered = [line for line in lines if line["event"] == "answered"]

    said = [(line["method"], line["route"], line["status"]) for line in answered]
    assert said == [("GET", "/healthz", 200), ("GET", "unknown", 404)]
