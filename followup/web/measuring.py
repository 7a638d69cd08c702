"""`/metrics` for Prometheus, read from the rows when asked: numbers alone, nothing personal."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.orm import Session

from followup.bootstrap import Service
from followup.domain.alarm import AlarmKind
from followup.domain.cadence import Channel, Lane
from followup.services import watching
from followup.store import alarms, breakers, counts, leads, submissions
from followup.store.db import reading, real_now
from followup.store.words import SubmissionStatus
from followup.web.deps import TheService

router = APIRouter()


class _Rows(Collector):
    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        now = self._service.now()
        with reading(self._service.engine) as session:
            oldest = counts.oldest_due(session, now)
            ages = {lane: (now - due_at).total_seconds() for lane, due_at in oldest.items()}
            yield _by_lane("oldest_due_seconds", "Age of the oldest due delivery", ages)
            due = {lane: float(n) for lane, n in counts.count_due(session, now).items()}
            yield _by_lane("due", "Deliveries that are due and not sent", due)
            yield _gauge("unknown", "Deliveries of unknown outcome", counts.count_unknown(session))
            waiting, overdue = leads.count_waiting(session, now)
            yield _gauge("leads_waiting", "Leads that wait for a call", waiting)
            yield _gauge("leads_overdue", "Leads that wait longer than was promised", overdue)
            held, _ = leads.count_held(session)
            yield _gauge("leads_held", "Leads that wait for staff to review them", held)
            yield from self._of_the_service(session, now)
            by_status = GaugeMetricFamily(
                "followup_submissions", "Submissions by status", labels=["status"]
            )
            came = submissions.count_by_status(session)
            for status in SubmissionStatus:
                by_status.add_metric([status.value], came.get(status, 0))
            yield by_status

    def _of_the_service(self, session: Session, now: datetime) -> Iterator[Metric]:
        unconsumed = submissions.oldest_unconsumed(session, now)
        age = (now - unconsumed).total_seconds() if unconsumed else 0
        yield _gauge("oldest_unconsumed_seconds", "Age of the oldest submission not taken up", age)
        beat = counts.last_beat(session, watching.UPKEEP)
        silence = (real_now(session) - beat).total_seconds() if beat else float("inf")
        yield _gauge("silence_seconds", "Real time since something ran by the clock", silence)
        sent = counts.count_sends(session, now)
        yield _gauge("sends_this_hour", "Deliveries sent in this hour, of all lanes", sent)
        paused = breakers.list_paused(session)
        by_channel = GaugeMetricFamily(
            "followup_paused", "1 while a channel's circuit breaker is open", labels=["channel"]
        )
        for channel in Channel:
            by_channel.add_metric([channel.value], float(channel in paused))
        yield by_channel
        raised = Counter(one.kind for one in alarms.list_open(session))
        by_kind = GaugeMetricFamily("followup_alarms", "Alarms that are open", labels=["alarm"])
        for kind in AlarmKind:
            by_kind.add_metric([kind.value], raised[kind])
        yield by_kind


def _by_lane(name: str, meaning: str, values: dict[Lane, float]) -> Metric:
    family = GaugeMetricFamily(f"followup_{name}", meaning, labels=["lane"])
    for lane in Lane:
        family.add_metric([lane.value], values.get(lane, 0))
    return family


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(f"followup_{name}", meaning, value=value)


@router.get(
    "/metrics",
    summary="Numbers for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(service: TheService) -> Response:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Rows(service))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
