"""The create call of the Messages API by plain HTTP."""

import json
from base64 import b64encode

from followup.sandbox.server import Sandbox
from tests.sandbox.calling import call
from tests.sandbox.conftest import ALICE, CLINIC, SID, TOKEN

AUTH = {"Authorization": "Basic " + b64encode(f"{SID}:{TOKEN}".encode()).decode()}
FORM = {"To": ALICE, "From": CLINIC, "Body": "Hello"}


def messages_url(sandbox: Sandbox, sid: str = SID) -> str:
    return f"{sandbox.url}/2010-04-01/Accounts/{sid}/Messages.json"


def create(sandbox: Sandbox, **form: str) -> tuple[int, dict[str, object], dict[str, str]]:
    status, body, headers = call("POST", messages_url(sandbox), form={**FORM, **form}, headers=AUTH)
    return status, json.loads(body), headers
