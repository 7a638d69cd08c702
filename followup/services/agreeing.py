"""Keeps what people agreed to in a form, as evidence."""

from datetime import datetime

from sqlalchemy.orm import Session

from followup.clinic import Clinic
from followup.domain.cadence import Channel
from followup.domain.consent import Act
from followup.domain.submission import AnyForm
from followup.services.arriving import is_unsigned
from followup.services.planning import Planner
from followup.store import consents
from followup.store.models import Lead, Submission


def keep_consent(
    session: Session,
    planner: Planner,
    lead: Lead,
    submission: Submission,
    form: AnyForm,
    now: datetime,
) -> None:
    """Evidence of the box beside the number, ticked or not, with the words that were shown.

    Without a box, giving the number is an act of its own, where the clinic takes that for consent.
    """
    act = _act(planner.clinic, submission, form)
    if form.phone is None or act is None:
        return
    language = planner.clinic.language(form.language)
    version, text = "", ""
    if act is Act.ticked_box or form.consent_text_version is not None:
        wanted = form.consent_text_version
        version, text = planner.clinic.consent_text(submission.kind, wanted, language)
    consents.add_consent(
        session,
        lead_id=lead.id,
        submission_id=submission.id,
        channel=Channel.sms,
        address_hash=planner.hash_address(Channel.sms, form.phone),
        given=act is Act.gave_number or form.consent_sms is True,
        act=act,
        text=text,
        text_version=version,
        language=language,
        evidence={
            **submission.evidence,
            "form": submission.kind.value,
            "source": submission.source,
            "source_url": form.source_url,
        },
        occurred_at=submission.received_at,
        recorded_at=now,
    )


def _act(clinic: Clinic, submission: Submission, form: AnyForm) -> Act | None:
    """What the person did about texts, if anything; a box that was left empty is a no."""
    if form.consent_sms is not None:
        return Act.ticked_box
    by_number = clinic.get_form(submission.kind).consent_by_number
    # Anybody could have posted it, with anybody's number.
    is_enough = submission.source in by_number and not is_unsigned(submission)
    return Act.gave_number if is_enough else None
