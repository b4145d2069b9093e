"""The page over all workers: our reader, and the files that they share."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from opentelemetry.instrumentation.utils import suppress_instrumentation

from ada_otel._diagnostics import contained, report
from ada_otel.pipeline import threads
from ada_otel.pipeline.fork import on_fork
from ada_otel.web import _pages
from ada_otel.web._access import REFUSED, Access
from ada_otel.web._pages import Answer, Page
from ada_otel.web.metrics_page import _folder
from ada_otel.web.metrics_page._file import WorkerFile
from ada_otel.web.metrics_page._render import render
from ada_otel.web.metrics_page._storage import PageReader, SharedStorage

if TYPE_CHECKING:
    from ada_otel.pipeline.metrics import MeterProvider
    from ada_otel.settings import Settings

#: Seconds between two rounds of callbacks: the age that an observed value on the page can have.
_REFRESH = 5.0

#: What names begin with where the same metrics leave by OTLP as well.
_BESIDE_OTLP = "scrape_"


class SharedPage:
    """Serves the sum over all workers, and keeps this one's observed values fresh."""

    def __init__(self, settings: Settings, provider: MeterProvider) -> None:
        self._folder = _folder.choose(settings.metrics_folder)
        self._access = Access(settings.metrics_token, settings.metrics_allow)
        self._prefix = prefix(settings.metrics_prefix, provider)
        self._provider = provider
        self._reader = PageReader()
        self._storage = SharedStorage(settings.cardinality_limit, lambda: WorkerFile(self._folder))
        self._life: object | None = None
        add_reader(provider, self._reader, self._storage)
        on_fork(self._renew)

    def __call__(self, environ: dict[str, Any]) -> Answer:
        """Answer a scrape."""
        if not self._access.allows(environ):
            return REFUSED
        self._provider._consumer.fold()
        try:
            found = _folder.total(self._folder, self._storage.file)
        except OSError as error:
            report("metrics-page:folder", f"The page of metrics cannot read its folder: {error}.", exc=error)
            # A scrape that fails is a gap; a sum without some of the workers would be a reset of counters.
            return Answer(b"", "text/plain", "503 Service Unavailable")
        body, content_type = render(
            found.items(),
            self._provider._sdk_config.resource.attributes,
            self._prefix,
            environ.get("HTTP_ACCEPT", ""),
        )
        return Answer(body, content_type)

    def begin(self) -> None:
        """Keep observed values fresh in this process from now on."""
        if self._life is None:
            self._life = life = object()
            threads.start(self._refresh, "ada-otel-metrics-page", life)

    def _refresh(self, life: object) -> None:
        while self._life is life:
            with contained("Collecting for the page of metrics"), suppress_instrumentation():
                self._reader.collect()
            time.sleep(_REFRESH)

    def _renew(self) -> None:
        self._life = None


def shared_page(settings: Settings, provider: MeterProvider) -> Page:
    """Make the page, and begin to keep what it shows."""
    page = SharedPage(settings, provider)
    _pages.at_first_request(page.begin)
    return page


def add_reader(provider: MeterProvider, reader: PageReader, storage: SharedStorage) -> None:
    """Add our reader, with our storage in the place of the SDK's."""
    provider.add_metric_reader(reader)
    consumer: Any = provider._consumer
    with consumer._lock:
        consumer._reader_storages = {**consumer._reader_storages, reader: storage}
        consumer.epoch = object()


def prefix(setting: str, provider: Any) -> str:
    """What the page's names begin with."""
    if setting != "auto":
        return setting
    return _BESIDE_OTLP if leaves_by_otlp(provider) else ""


def leaves_by_otlp(provider: Any) -> bool:
    """Whether a reader of the provider sends metrics by OTLP."""
    consumer = getattr(provider, "_consumer", None) or getattr(provider, "_measurement_consumer", None)
    readers = getattr(consumer, "_reader_storages", ())
    names = (type(getattr(reader, "_exporter", None)).__name__ for reader in readers)
    return any(name.startswith("OTLP") for name in names)
