"""The command ``ada-otel probe``."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ada_otel.probe.target import Answer, Target, ask

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

NAME = "probe"
_logger = logging.getLogger("ada_otel.probe")


def add_parser(subparsers: Any) -> None:
    """Add the command's parser."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        NAME,
        help="ask health addresses from outside, and report them as metrics",
        description="Asks each address as a load balancer does, on a new connection each time, and sends\n"
        "ada.probe.success and ada.probe.duration by OTLP (OTEL_EXPORTER_OTLP_ENDPOINT says where).",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "targets", nargs="+", metavar="NAME=URL", help="what to ask; a 2xx or 3xx answer is good"
    )
    parser.add_argument("--interval", type=float, default=15.0, help="seconds between rounds (default: 15)")
    parser.add_argument("--timeout", type=float, default=5.0, help="seconds per step (default: 5)")
    parser.add_argument("--once", action="store_true", help="one round, printed; exit code 1 if one is bad")


def run(args: argparse.Namespace) -> int:
    """Probe until SIGTERM or SIGINT, or once.

    Returns:
        0; with ``--once`` 1 when an answer was bad; 2 for words that cannot be used.
    """
    try:
        targets = _targets(args)
    except ValueError as error:
        sys.stderr.write(f"ada-otel {NAME}: {error}\n")
        return 2
    if args.once:
        return _once(targets, args.timeout)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    prober = Prober(targets, args.interval, args.timeout)
    provider = _provider(args.interval)
    prober.report(provider)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: prober.stop())
    prober.run()
    provider.shutdown()
    return 0


def _targets(args: argparse.Namespace) -> list[Target]:
    targets = [Target.parse(text) for text in args.targets]
    if len({target.name for target in targets}) < len(targets):
        raise ValueError("two targets have one name; give each its own")
    if not (0 < args.timeout <= 60 and 0.1 <= args.interval <= 3600):
        raise ValueError("--timeout must be from 0 to 60 seconds, and --interval from 0.1 to 3600")
    return targets


def _once(targets: list[Target], timeout: float) -> int:
    answers = [(target, ask(target, timeout)) for target in targets]
    for target, answer in answers:
        verdict = "good" if answer.good else f"bad ({answer.problem})"
        sys.stdout.write(f"{target.name}  {verdict}  {answer.seconds * 1000:.0f} ms\n")
    return 0 if all(answer.good for _, answer in answers) else 1


class Prober:
    """Asks all targets, each in a thread of its own, so that one that hangs delays no other.

    Args:
        targets: What to ask.
        interval: Seconds between the starts of two requests to one target.
        timeout: Seconds for each step of a request.
    """

    def __init__(self, targets: list[Target], interval: float, timeout: float) -> None:
        self._targets = targets
        self._interval = interval
        self._timeout = timeout
        self._answers: dict[str, Answer] = {}
        self._ended = threading.Event()

    def report(self, provider: MeterProvider) -> None:
        """Expose the newest answers as metrics."""
        from ada_otel import catalogue

        meter = provider.get_meter("ada_otel.probe")
        catalogue.create(meter, catalogue.metric("ada.probe.success"), [self._successes])
        catalogue.create(meter, catalogue.metric("ada.probe.duration"), [self._durations])

    def run(self) -> None:
        """Ask until :meth:`stop`."""
        threads = [
            threading.Thread(target=self._loop, args=(target,), daemon=True) for target in self._targets
        ]
        for thread in threads:
            thread.start()
        self._ended.wait()

    def stop(self) -> None:
        """End :meth:`run`; safe in a signal handler."""
        self._ended.set()

    def _loop(self, target: Target) -> None:
        while True:
            answer = ask(target, self._timeout)
            before = self._answers.get(target.name)
            self._answers[target.name] = answer
            if before is None or before.good != answer.good:
                said = "answers" if answer.good else f"does not answer well ({answer.problem})"
                _logger.log(logging.INFO if answer.good else logging.WARNING, "%s %s", target.name, said)
            if self._ended.wait(self._interval):
                return

    def _successes(self, _options: CallbackOptions) -> Iterable[Observation]:
        from opentelemetry.metrics import Observation

        for name, answer in list(self._answers.items()):
            yield Observation(int(answer.good), {"ada.probe.name": name})

    def _durations(self, _options: CallbackOptions) -> Iterable[Observation]:
        from opentelemetry.metrics import Observation

        for name, answer in list(self._answers.items()):
            yield Observation(answer.seconds, {"ada.probe.name": name})


def _provider(interval: float) -> Any:
    from opentelemetry.sdk.resources import Resource

    from ada_otel import resource, settings
    from ada_otel.pipeline.export.otlp import OTLPMetricExporter
    from ada_otel.pipeline.metrics import MeterProvider, PeriodicReader

    os.environ.setdefault("OTEL_SERVICE_NAME", "ada-probe")
    settings.apply_defaults()
    reader = PeriodicReader(OTLPMetricExporter(), export_interval_millis=interval * 1000)
    return MeterProvider([reader], Resource.create(resource.attributes()), shutdown_on_exit=False)
