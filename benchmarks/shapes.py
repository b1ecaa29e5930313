"""The two ways in which load arrives: batches from few clients, single records from many."""

from dataclasses import dataclass

from benchmarks.load import Measured
from benchmarks.records import template
from benchmarks.running import measure
from benchmarks.servers import Served

AT_ONCE = 256  # connections of an open load: more than ever wait while the server keeps up


@dataclass(frozen=True)
class Shape:
    name: str
    batch: int
    clients: int
    media_type: str

    def peak(self, server: Served, seconds: float) -> Measured:
        """As much as the server takes from clients who wait for their answers."""
        return measure(
            server,
            [template(self.batch)],
            connections=self.clients,
            seconds=seconds,
            media_type=self.media_type,
        )

    def offer(self, server: Served, rate: float, seconds: float, **more) -> Measured:
        """So many requests a second, whatever becomes of them."""
        return measure(
            server,
            [template(self.batch)],
            connections=AT_ONCE if self.batch == 1 else AT_ONCE // 8,
            seconds=seconds,
            media_type=self.media_type,
            rate=rate,
            **more,
        )


SHAPES = (
    Shape("batches of 500, 4 clients", 500, 4, "application/x-ndjson"),
    Shape("single records, 32 clients", 1, 32, "application/json"),
)
