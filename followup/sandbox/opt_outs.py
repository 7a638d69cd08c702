"""Twilio's own STOP filter on a long code: words, blocked pairs, confirmations.

Words: twilio.com/docs/messaging/tutorials/advanced-opt-out. Only a whole message counts.
"""

from collections.abc import Iterable
from threading import Lock

_WORDS = {
    "STOP": ["STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"],
    "START": ["START", "YES", "UNSTOP"],
    "HELP": ["HELP", "INFO"],
}

CONFIRMATIONS = {
    "STOP": "You are unsubscribed: this number sends you no more texts. Reply START to undo this.",
    "START": "You are subscribed to texts from this number again. Reply STOP to end them.",
    "HELP": "Reply STOP to end texts from this number.",
}


def classify(body: str) -> str | None:
    """STOP, START, HELP, or None for any other text."""
    word = body.strip().upper()
    return next((kind for kind, words in _WORDS.items() if word in words), None)


class OptOuts:
    """Which patient has stopped which sender; a sender is a number or a messaging service."""

    def __init__(self) -> None:
        self._pairs: set[tuple[str, str]] = set()
        self._lock = Lock()

    def is_opted_out(self, patient: str, sender: str) -> bool:
        return (patient, sender) in self._pairs

    def apply(self, kind: str | None, patient: str, senders: Iterable[str | None]) -> None:
        pairs = {(patient, sender) for sender in senders if sender is not None}
        with self._lock:
            if kind == "STOP":
                self._pairs |= pairs
            elif kind == "START":
                self._pairs -= pairs

    def clear(self) -> None:
        with self._lock:
            self._pairs.clear()
