"""Metrics of captures and topologies, read from their reports when Prometheus asks."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pipeline.capture.table import TableCapture
from pipeline.delivery.breaker import BreakerState
from pipeline.delivery.stream import StreamDelivery
from pipeline.delivery.topology import TopologyRunner
from pipeline.model.state import Flow, Report

CAPTURE_LABELS = ("table", "shard")
DELIVERY_LABELS = ("topology", "shard")


class PipelineCollector(Collector):
    """Counts and lags by table, topology and shard: names from the configuration and the streams, never from items."""

    def __init__(
        self,
        captures: Sequence[TableCapture],
        delivery: StreamDelivery | None,
        runners: Mapping[str, TopologyRunner],
    ) -> None:
        self._captures = captures
        self._delivery = delivery
        self._runners = runners

    def collect(self) -> Iterable[Metric]:
        """Return the metrics of this moment."""
        yield from _family("capture", CAPTURE_LABELS, list(self._capture_reports()))
        yield from _family("topology", DELIVERY_LABELS, list(self._topology_reports()))
        yield from self._gaps()
        yield from self._times_to_loss()
        if self._delivery is not None:
            reads = CounterMetricFamily(
                "fanout_stream_reads", "GetRecords calls on the Kinesis stream", labels=["shard"]
            )
            for shard, delivery in self._delivery.deliveries.items():
                reads.add_metric([shard], delivery.report.reads)
            yield reads
            yield from self._parked(self._delivery)
            yield from self._containment()

    def _times_to_loss(self) -> Iterator[Metric]:
        """Yield the headline metric: seconds until the oldest unread change is trimmed; none where nothing was read."""
        captures = GaugeMetricFamily(
            "fanout_capture_time_to_loss_seconds", "Until the oldest unread change is trimmed", labels=CAPTURE_LABELS
        )
        topologies = GaugeMetricFamily(
            "fanout_topology_time_to_loss_seconds",
            "Until its oldest unsettled record is trimmed",
            labels=DELIVERY_LABELS,
        )
        for table in self._captures:
            for shard, capture in table.captures.items():
                if (left := capture.retention.time_to_loss_seconds) is not None:
                    captures.add_metric([table.table, shard], left)
        deliveries = self._delivery.deliveries if self._delivery else {}
        kept_ms = self._delivery.kept_ms if self._delivery else 0
        for shard, each in deliveries.items():
            for name in each.followers:
                if (left := each.retention(name, kept_ms).time_to_loss_seconds) is not None:
                    topologies.add_metric([name, shard], left)
        yield from (captures, topologies)

    @staticmethod
    def _parked(delivery: StreamDelivery) -> Iterator[Metric]:
        keys = GaugeMetricFamily("fanout_topology_parked_keys", "Keys in quarantine", labels=DELIVERY_LABELS)
        changes = GaugeMetricFamily("fanout_topology_parked_changes", "Changes in quarantine", labels=DELIVERY_LABELS)
        age = GaugeMetricFamily(
            "fanout_topology_parked_oldest_seconds", "Age of the oldest change in quarantine", labels=DELIVERY_LABELS
        )
        for shard, each in delivery.deliveries.items():
            for name in each.followers:
                summary = each.quarantined(name)
                keys.add_metric([name, shard], summary.keys)
                changes.add_metric([name, shard], summary.changes)
                age.add_metric([name, shard], summary.oldest_seconds)
        yield from (keys, changes, age)

    def _gaps(self) -> Iterator[Metric]:
        known = [table.gaps for table in self._captures] + ([self._delivery.gaps] if self._delivery else [])
        if known:
            newest = known[0].open
            yield GaugeMetricFamily("fanout_gaps_open", "Gaps of the pipeline that wait for a decision", len(newest))

    def _containment(self) -> Iterator[Metric]:
        """Yield what was done about topologies whose destination is out, or whose calls do not end."""
        opened = GaugeMetricFamily("fanout_topology_breaker_open", "1 while it does not answer", labels=["topology"])
        overdue = CounterMetricFamily("fanout_topology_calls_overdue", "Calls past their deadline", labels=["topology"])
        abandoned = GaugeMetricFamily(
            "fanout_topology_calls_abandoned", "Calls that were given up and have not ended", labels=["topology"]
        )
        for name, runner in self._runners.items():
            opened.add_metric([name], runner.breaker.state is not BreakerState.CLOSED)
            overdue.add_metric([name], runner.sinks.overdue_total)
            abandoned.add_metric([name], runner.sinks.abandoned_calls)
        yield from (opened, overdue, abandoned)

    def _capture_reports(self) -> Iterator[tuple[tuple[str, str], Report]]:
        for table in self._captures:
            for shard, capture in table.captures.items():
                yield (table.table, shard), capture.report

    def _topology_reports(self) -> Iterator[tuple[tuple[str, str], Report]]:
        if self._delivery is not None:
            for shard, delivery in self._delivery.deliveries.items():
                for name, follower in delivery.followers.items():
                    yield (name, shard), follower.cursor.report


def _family(kind: str, labels: tuple[str, str], reports: Sequence[tuple[tuple[str, str], Report]]) -> Iterator[Metric]:
    """Yield one metric for each figure of a report."""
    changes = CounterMetricFamily(f"fanout_{kind}_changes", "Changes dealt with by this process", labels=labels)
    repeats = CounterMetricFamily(f"fanout_{kind}_duplicates", "Repeats recognised and dropped", labels=labels)
    lag = GaugeMetricFamily(
        f"fanout_{kind}_lag_seconds", "Age of the oldest change that is not dealt with", labels=labels
    )
    attempts = GaugeMetricFamily(f"fanout_{kind}_attempts", "Failed attempts of the present call", labels=labels)
    halted = GaugeMetricFamily(f"fanout_{kind}_halted", "1 while it waits for a person", labels=labels)
    for place, report in reports:
        changes.add_metric(place, report.changes)
        repeats.add_metric(place, report.duplicates)
        lag.add_metric(place, report.lag_seconds)
        attempts.add_metric(place, report.attempts)
        halted.add_metric(place, report.flow is Flow.HALTED)
    yield from (changes, repeats, lag, attempts, halted)
