"""What can go wrong in an analysis, each as one line that says what to do."""

from __future__ import annotations

__all__ = ["AnalysisError", "ConnectionFailedError", "MissingExtraError", "NothingThereError", "QueryError"]


class AnalysisError(Exception):
    """An analysis that could not be done; the message is one line, for the user."""


class QueryError(AnalysisError):
    """The query, a time or an option is wrong; the message names the place and what would be right."""


class ConnectionFailedError(AnalysisError):
    """The server did not answer, or refused the key."""


class NothingThereError(AnalysisError):
    """No index, or no file, to look in."""


class MissingExtraError(AnalysisError):
    """A library of the ``analysis`` extra is not installed."""

    def __init__(self, library: str) -> None:
        super().__init__(f"{library} is not installed: pip install 'ada-otel[analysis]'")
