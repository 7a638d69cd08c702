"""A bare FastAPI route with one durable insert: as fast as an intake that keeps anything can be.

`uvicorn bench.bare_route:app`, with the database in `BARE_DATABASE_URL`.
"""

import os
import threading
import uuid
from contextlib import AbstractContextManager, nullcontext

from cryptography.fernet import Fernet
from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import Engine, text

from followup.store.crypto import Keyring
from followup.store.db import make_engine

TABLE = "CREATE TABLE IF NOT EXISTS bare (id CHAR(32) PRIMARY KEY, body TEXT NOT NULL)"
INSERT = text("INSERT INTO bare (id, body) VALUES (:id, :body)")
#: Nothing here is encrypted; without a key there is no engine of ours.
KEY = Fernet.generate_key().decode()
#: As many threads as the framework has.
POOL = 20


class Submission(BaseModel):
    name: str
    email: str
    phone: str
    message: str = ""
    consent_sms: bool = False


def _open() -> Engine:
    engine = make_engine(os.environ["BARE_DATABASE_URL"], Keyring([KEY]), pool_size=POOL)
    with engine.begin() as connection:
        connection.execute(text(TABLE))
    return engine


app = FastAPI()
engine = _open()
#: SQLite's one writer is waited for in line, which is faster than by trying again.
turn: AbstractContextManager[object] = (
    threading.Lock() if engine.dialect.name == "sqlite" else nullcontext()
)


@app.post("/submissions/contact", status_code=202)
def keep(submission: Submission) -> dict[str, str]:
    submission_id = uuid.uuid4().hex
    with turn, engine.begin() as connection:
        connection.execute(INSERT, {"id": submission_id, "body": submission.model_dump_json()})
    return {"submission_id": submission_id, "status": "accepted"}


@app.get("/healthz")
def healthz() -> dict[str, str]:
    return {"status": "ok"}
