"""How ``pytest -n 3`` shares the tests out between its processes.

A file's tests stay together and in order. Files that use the servers of the ``stack`` fixture run in one
process, so that these are started once. Other files with servers of their own mostly wait, as those do, and
have another process; the rest is work for a processor. Tests that hold a clock or a processor to a narrow
bound come last, in one process, when the others have ended.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NoReturn

from xdist.scheduler import LoadScopeScheduling

from tools.paths import REPOSITORY

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

#: Folders whose tests start servers.
SERVERS = ("tests/drills/", "tests/integration/")

#: The fixtures whose servers all tests of a process share, and their types.
_SHARED = (("stack", "Stack"), ("driven", "Driven"))

#: Tests that run when nothing else does: file, start of the test's name, and what is measured.
ALONE = (
    ("tests/drills/test_assembled.py", "test_exit_keeps", "seconds of an exit, 0.5 from their bound"),
    ("tests/drills/test_exit.py", "test_exit_keeps", "seconds of an exit, 0.5 from their bound"),
    (
        "tests/drills/test_outage.py",
        "test_recording_costs",
        "processor time of a request beside that of another program",
    ),
    ("tests/drills/test_requests.py", "test_no_request_takes", "the longest time that a request waits"),
    ("tests/unit/health/test_health_pages.py", "test_a_check_that_hangs", "milliseconds of an answer"),
    ("tests/unit/health/test_health_pages.py", "test_a_database_that_is", "milliseconds of an answer"),
    ("tests/unit/observers/test_process.py", "test_a_collection_costs", "processor time beside stock"),
    ("tests/unit/pipeline/test_exit_budget.py", "", "seconds of an exit, 0.3 from their bound"),
    ("tests/unit/pipeline/test_export_batch.py", "test_on_end_does_not_wait", "microseconds of a call"),
    ("tests/unit/pipeline/test_export_batch.py", "test_shutdown", "seconds, 0.4 from their bound"),
    ("tests/unit/pipeline/test_export_otlp.py", "test_export_gives_up", "seconds, 0.6 from their bound"),
    ("tests/unit/pipeline/test_export_sender.py", "test_attempt_ends", "seconds, 0.4 from their bound"),
    ("tests/unit/pipeline/test_export_sender.py", "test_refused_connection", "seconds, 0.5 from their bound"),
    ("tests/unit/pipeline/test_export_sender.py", "test_waiting", "seconds, 0.4 from their bound"),
    (
        "tests/unit/pipeline/test_export_spool.py",
        "test_what_exit_cannot_send",
        "seconds, 0.4 from their bound",
    ),
    ("tests/unit/redaction/test_linear_time.py", "", "how processor time grows"),
    ("tests/upstream/test_upstream_suites.py", "", "milliseconds of a request"),
)
_ALONE = tuple(f"{file}::{name}" for file, name, _ in ALONE)


def scope_of(nodeid: str) -> str:
    """What a process gets as a whole: a file, or those of its tests that run alone."""
    file = nodeid.split("::", 1)[0]
    return f"{file} alone" if nodeid.startswith(_ALONE) else file


def is_alone(scope: str) -> bool:
    """Whether ``scope`` waits until nothing else runs."""
    return scope.endswith(" alone")


def has_servers(scope: str) -> bool:
    """Whether the tests of ``scope`` start servers."""
    return scope.startswith(SERVERS) and not is_alone(scope)


@cache
def uses_stack(scope: str) -> bool:
    """Whether tests of ``scope`` take the servers that are started once per process."""
    file = REPOSITORY / scope
    text = file.read_text(encoding="utf-8") if has_servers(scope) and file.is_file() else ""
    return any(f"{fixture}: {kind}" in text for fixture, kind in _SHARED)


class Shares(LoadScopeScheduling):  # type: ignore[misc]  # published without type information
    """xdist's scheduler by scope, with an order of its own."""

    def remove_node(self, node: WorkerController) -> str | None:
        """Let the process that is left go on with what runs alone."""
        crashed: str | None = super().remove_node(node)
        for other in self.nodes:
            self._reschedule(other)
        return crashed

    def mark_test_pending(self, item: str) -> NoReturn:
        """Asked for by ``--reruns``: a test whose process died is not tried again."""
        raise RuntimeError(f"the process died in {item}")

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        scope = self._next_scope(node)
        if scope is not None:
            self.workqueue.move_to_end(scope, last=False)
            super()._assign_work_unit(node)

    def _reschedule(self, node: WorkerController) -> None:
        """Give ``node`` work until it has two tests: it keeps the last one until it knows what follows."""
        left = -1
        while not node.shutting_down and len(self.workqueue) != left:
            left = len(self.workqueue)
            others = any(not other.shutting_down for other in self.nodes if other is not node)
            if others and left and self._next_scope(node) is None:
                node.shutdown()  # after what it has; the last process stays for what runs alone
            else:
                super()._reschedule(node)

    def _next_scope(self, node: WorkerController) -> str | None:
        """What comes next on ``node``, if there is something for it as long as others run."""
        queue: list[str] = list(self.workqueue)
        if len(self.nodes) == 1:
            return min(queue, key=is_alone)
        elsewhere = [
            scope
            for other, work in self.assigned_work.items()
            if other is not node
            for scope, tests in work.items()
            if not all(tests.values())
        ]
        stack = any(map(uses_stack, elsewhere))
        servers = any(has_servers(scope) and not uses_stack(scope) for scope in elsewhere)

        def rank(scope: str) -> int:
            if uses_stack(scope):
                return 0
            return (3 if servers else 1) if has_servers(scope) else 2

        beside = [scope for scope in queue if not is_alone(scope)]
        return min((scope for scope in beside if not (stack and uses_stack(scope))), key=rank, default=None)
