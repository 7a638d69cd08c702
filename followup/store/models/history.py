"""Tables of history: the same columns as the rows that move there, and the month they are kept by.

Tables without a class: rows are read from here as what they were (`store/history.py`), and a new
column of theirs is a column of these.
"""

from sqlalchemy import Column, Date, Index, PrimaryKeyConstraint, Table

from followup.store.models.base import Base
from followup.store.models.deliveries import Decision, Delivery


def _past(name: str, model: type[Base], *found_by: str) -> Table:
    """Without keys to other tables: its lead takes it along when it goes (`removals.py`)."""
    kept = Table(
        name,
        Base.metadata,
        *(Column(one.name, one.type, nullable=one.nullable) for one in model.__table__.columns),
        Column("month", Date, nullable=False),
        # PostgreSQL parts the table by month, and wants the month in its key.
        PrimaryKeyConstraint("id", "month", name=f"pk_{name}"),
        postgresql_partition_by="RANGE (month)",
    )
    for column in (*found_by, "month"):
        Index(f"ix_{name}_{column}", kept.c[column])
    return kept


delivery_history = _past("delivery_history", Delivery, "lead_id")
decision_history = _past("decision_history", Decision, "lead_id", "delivery_id")
