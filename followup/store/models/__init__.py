"""The rows. They are the entities: rules are functions over their values, elsewhere."""

from followup.store.models.announcements import Announcement, WebhookStop
from followup.store.models.audit import AuditEntry, AuditHead
from followup.store.models.base import Base
from followup.store.models.deliveries import (
    Alarm,
    Breaker,
    Decision,
    Delivery,
    Heartbeat,
    IntakeCount,
    Receipt,
    SendCount,
    SenderRate,
    Task,
)
from followup.store.models.history import decision_history, delivery_history
from followup.store.models.leads import (
    Action,
    Consent,
    Lead,
    Person,
    Reply,
    RiskMatch,
    SignIn,
    Submission,
    Suppression,
)
from followup.store.models.upkeep import ErasedLead, Erasure, HashKey, ProviderCopy

__all__ = [
    "Action",
    "Alarm",
    "Announcement",
    "AuditEntry",
    "AuditHead",
    "Base",
    "Breaker",
    "Consent",
    "Decision",
    "Delivery",
    "ErasedLead",
    "Erasure",
    "HashKey",
    "Heartbeat",
    "IntakeCount",
    "Lead",
    "Person",
    "ProviderCopy",
    "Receipt",
    "Reply",
    "RiskMatch",
    "SendCount",
    "SenderRate",
    "SignIn",
    "Submission",
    "Suppression",
    "Task",
    "WebhookStop",
    "decision_history",
    "delivery_history",
]
