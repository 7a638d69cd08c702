"""Takes submissions, and hands each of their messages to Celery."""

import uuid

from fastapi import FastAPI
from pydantic import BaseModel, EmailStr, Field

from bench.peer import tasks

app = FastAPI()


class Submission(BaseModel):
    name: str = Field(min_length=1, max_length=200)
    email: EmailStr
    phone: str = Field(pattern=r"^\+1\d{10}$")
    message: str = Field("", max_length=5000)
    consent_sms: bool = False


class Accepted(BaseModel):
    submission_id: uuid.UUID
    status: str = "accepted"


@app.post("/submissions/contact", status_code=202)
def submit(submission: Submission) -> Accepted:
    submission_id = uuid.uuid4()
    tasks.send_email.delay(str(submission_id), submission.name, submission.email)
    if submission.consent_sms:
        tasks.send_sms.delay(submission.phone)
    tasks.plan_reminders(submission_id)
    return Accepted(submission_id=submission_id)


@app.post("/leads/{submission_id}/contacted")
def mark_contacted(submission_id: uuid.UUID) -> dict[str, str]:
    tasks.revoke_reminders(submission_id)
    return {"status": "contacted"}


@app.get("/healthz")
def healthz() -> dict[str, str]:
    return {"status": "ok"}
