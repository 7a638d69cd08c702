"""`/metrics` for Prometheus, read from the rows when asked: numbers alone, nothing personal."""

from collections.abc import Iterator

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from followup.bootstrap import Service
from followup.domain.cadence import Lane
from followup.store import deliveries, leads, submissions
from followup.store.db import reading
from followup.store.words import SubmissionStatus
from followup.web.deps import TheService

router = APIRouter()


class _Rows(Collector):
    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        now = self._service.now()
        with reading(self._service.engine) as session:
            oldest = deliveries.oldest_due(session, now)
            ages = {lane: (now - due_at).total_seconds() for lane, due_at in oldest.items()}
            yield _by_lane("oldest_due_seconds", "Age of the oldest due delivery", ages)
            due = {lane: float(n) for lane, n in deliveries.count_due(session, now).items()}
            yield _by_lane("due", "Deliveries that are due and not sent", due)
            yield _gauge(
                "unknown", "Deliveries of unknown outcome", deliveries.count_unknown(session)
            )
            waiting, overdue = leads.count_waiting(session, now)
            yield _gauge("leads_waiting", "Leads that wait for a call", waiting)
            yield _gauge("leads_overdue", "Leads that wait longer than was promised", overdue)
            by_status = GaugeMetricFamily(
                "followup_submissions", "Submissions by status", labels=["status"]
            )
            counts = submissions.count_by_status(session)
            for status in SubmissionStatus:
                by_status.add_metric([status.value], counts.get(status, 0))
            yield by_status


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
