"""Cadences and wording, read from the `templates/` folder, checked at start, rendered strictly.

Web pages are rendered by `web`; only their environment comes from here.
"""

from followup.templates.catalogue import (
    DANGER,
    MORNING,
    OVER,
    RAISED,
    REPLIED,
    WEEKLY,
    Templates,
    check_templates,
    pages_environment,
)
from followup.templates.facts import VARIABLES, Place, Variable, clinic_facts, greeting_name
from followup.templates.lint import sample_facts
from followup.templates.problem import Problem, Refused
from followup.templates.wording import ALARMS, REPLIES, SUMMARIES, Message

__all__ = [
    "ALARMS",
    "DANGER",
    "MORNING",
    "OVER",
    "RAISED",
    "REPLIED",
    "REPLIES",
    "SUMMARIES",
    "VARIABLES",
    "WEEKLY",
    "Message",
    "Place",
    "Problem",
    "Refused",
    "Templates",
    "Variable",
    "check_templates",
    "clinic_facts",
    "greeting_name",
    "pages_environment",
    "sample_facts",
]
