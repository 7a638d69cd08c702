"""The rows. They are the entities: rules are functions over their values, elsewhere."""

from followup.store.models.base import Base
from followup.store.models.deliveries import (
    Alarm,
    Breaker,
    Decision,
    Delivery,
    Heartbeat,
    Receipt,
    SendCount,
    Task,
)
from followup.store.models.leads import (
    Action,
    Consent,
    Lead,
    Person,
    Reply,
    RiskMatch,
    Submission,
    Suppression,
)

__all__ = [
    "Action",
    "Alarm",
    "Base",
    "Breaker",
    "Consent",
    "Decision",
    "Delivery",
    "Heartbeat",
    "Lead",
    "Person",
    "Receipt",
    "Reply",
    "RiskMatch",
    "SendCount",
    "Submission",
    "Suppression",
    "Task",
]
