"""How long what is kept, by the reference: 45 CFR 164.316(b)(2)(i) keeps documentation for six
years; claims under 47 USC 227 reach back four or five, so evidence of consent is kept for seven.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

_DAYS_IN_YEAR = 365.25


@dataclass(frozen=True)
class Cutoffs:
    """What was last touched before the instant is old enough to go."""

    now: datetime
    history: datetime
    leads: datetime
    held: datetime
    evidence: datetime
    audit: datetime


def cutoffs(
    now: datetime,
    *,
    history_days: int,
    lead_days: int,
    held_days: int,
    evidence_years: int,
    audit_years: int,
) -> Cutoffs:
    return Cutoffs(
        now=now,
        history=now - timedelta(days=history_days),
        leads=now - timedelta(days=lead_days),
        held=now - timedelta(days=held_days),
        evidence=now - _years(evidence_years),
        audit=now - _years(audit_years),
    )


def _years(count: int) -> timedelta:
    """Never a day short."""
    return timedelta(days=math.ceil(count * _DAYS_IN_YEAR))
