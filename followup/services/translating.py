"""Reads what a form vendor sent by the clinic's mapping of it."""

from typing import Any

from followup.clinic import Clinic
from followup.clinic_sources import Source
from followup.domain.foreign import Translated, translate
from followup.errors import Fault, Invalid
from followup.transports import form_bodies


def translate_document(clinic: Clinic, source: Source, document: Any) -> Translated:
    """The submission in our words. Raises Invalid saying why it cannot be one."""
    try:
        delivered = form_bodies.read(source, document)
    except form_bodies.Unreadable as error:
        raise Invalid(Fault(source.name, str(error))) from None
    return translate(
        source.form,
        delivered.given,
        source.rules,
        document=delivered.document,
        sites=clinic.sites_by_words,
    )
