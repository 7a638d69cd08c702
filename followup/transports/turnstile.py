"""Asks Cloudflare whether a captcha was solved
(developers.cloudflare.com/turnstile/get-started/server-side-validation)."""

import json
from datetime import timedelta
from enum import StrEnum

import requests

#: A patient waits for this in front of the form.
TIMEOUT = timedelta(seconds=3)
#: Longer answers of theirs are not read, longer tokens not asked about (theirs are up to 2,048).
ANSWER_LIMIT = 16 * 1024
TOKEN_LIMIT = 2048


class Captcha(StrEnum):
    passed = "passed"
    #: Not solved, or nobody could be asked.
    failed = "failed"


def ask(url: str, secret: str, token: str, address: str | None) -> Captcha:
    """Whether the token proves that the captcha was solved. Any trouble is no proof."""
    if not token or len(token) > TOKEN_LIMIT:
        return Captcha.failed
    fields = {"secret": secret, "response": token}
    if address is not None:
        fields["remoteip"] = address
    seconds = TIMEOUT.total_seconds()
    try:
        with requests.post(
            url, data=fields, timeout=seconds, allow_redirects=False, stream=True
        ) as answer:
            raw = next(answer.iter_content(ANSWER_LIMIT), b"")
            said = json.loads(raw) if answer.status_code == 200 else {}
    except (requests.RequestException, OSError, ValueError):
        return Captcha.failed
    is_passed = isinstance(said, dict) and said.get("success") is True
    return Captcha.passed if is_passed else Captcha.failed
