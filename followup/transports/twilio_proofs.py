"""Whether a request is Twilio's: twilio.com/docs/usage/security#validating-requests."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from twilio.request_validator import RequestValidator


class _Fields(dict[str, Any]):
    """A form as the library reads repeated fields."""

    def getall(self, name: str) -> list[str]:
        value = self[name]
        return [value] if isinstance(value, str) else value


def is_signed(
    tokens: Sequence[str], url: str, fields: Mapping[str, Any] | str, signature: str
) -> bool:
    """Whether Twilio, knowing one of the tokens, sent this form to this public address.

    A field is text, or a list of texts; a form with anything else is not Twilio's. Of a JSON
    request, `fields` is the body as it came, whose hash the address has to carry.
    """
    if isinstance(fields, str):
        return bool(re.search("[?&]bodySHA256=.", url)) and _is_any(tokens, url, fields, signature)
    for value in fields.values():
        texts = value if isinstance(value, list) else [value]
        if not all(isinstance(text, str) for text in texts):
            return False
    return _is_any(tokens, url, _Fields(fields), signature)


def _is_any(tokens: Sequence[str], url: str, signed: _Fields | str, signature: str) -> bool:
    return any(bool(RequestValidator(token).validate(url, signed, signature)) for token in tokens)
