"""What every row is made from: names of constraints, and how Python's types are kept."""

import uuid
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, MetaData, Text, Uuid
from sqlalchemy.orm import DeclarativeBase

from followup.store.db import UtcDateTime


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    # Every default is ours. To have them told (RETURNING) would make of a batch one statement with
    # all of its values, which the driver takes apart and the server plans anew each time.
    __mapper_args__ = {"eager_defaults": False}  # noqa: RUF012
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime,
        uuid.UUID: Uuid(native_uuid=True),
        str: Text,
        dict[str, Any]: JSON,
    }
