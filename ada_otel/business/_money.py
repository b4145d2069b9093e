"""Money: what was earned, paid back and spent, and purchases."""

from __future__ import annotations

from decimal import Decimal

from ada_otel.business import _check
from ada_otel.business._telemetry import count, note


@_check.safely
def revenue(amount: float | Decimal, currency: str, kind: str = "purchase") -> None:
    """Count what was earned.

    Args:
        amount: In units of the currency, not cents; not negative. An int, a float or a Decimal.
        currency: ISO 4217 code, such as ``"EUR"``; any other counts as ``OTHER``.
        kind: What for: ``purchase``, ``subscription``, or a name of your own.
    """
    money, code = _check.amount("revenue", "amount", amount), _check.currency("revenue", currency)
    named = _check.label("revenue", "kind", kind)
    if money is not None and code is not None and named is not None:
        _earned(money, code, named)


@_check.safely
def refund(amount: float | Decimal, currency: str) -> None:
    """Count what was paid back.

    Args:
        amount: In units of the currency; not negative.
        currency: ISO 4217 code.
    """
    money, code = _check.amount("refund", "amount", amount), _check.currency("refund", currency)
    if money is not None and code is not None:
        count("ada.refunds", {"ada.currency": code}, money)
        note({"ada.refund.amount": money, "ada.currency": code})


@_check.safely
def cost(amount: float | Decimal, currency: str, kind: str) -> None:
    """Count what was spent. The cost of an AI operation is told to the operation itself.

    Args:
        amount: In units of the currency; not negative.
        currency: ISO 4217 code.
        kind: What for, for instance ``"sms"``.
    """
    money, code = _check.amount("cost", "amount", amount), _check.currency("cost", currency)
    named = _check.label("cost", "kind", kind)
    if money is not None and code is not None and named is not None:
        count("ada.cost", {"ada.currency": code, "ada.cost.kind": named}, money)


@_check.safely
def purchase(amount: float | Decimal, currency: str, kind: str = "purchase") -> None:
    """Count a purchase that succeeded, and its revenue.

    Args:
        amount: The price, in units of the currency; not negative.
        currency: ISO 4217 code.
        kind: The kind of the revenue.
    """
    money, code = _check.amount("purchase", "amount", amount), _check.currency("purchase", currency)
    named = _check.label("purchase", "kind", kind)
    if money is not None and code is not None and named is not None:
        count("ada.purchases", {"ada.outcome": "success"})
        _earned(money, code, named)


@_check.safely
def purchase_failed(reason: str | BaseException) -> None:
    """Count a purchase that failed.

    Args:
        reason: In short, such as ``"card_declined"``, or the exception; it becomes ``error.type``.
    """
    named = _check.failure("purchase_failed", "reason", reason)
    count("ada.purchases", {"ada.outcome": "failure", "error.type": named})


def _earned(money: float, code: str, kind: str) -> None:
    count("ada.revenue", {"ada.currency": code, "ada.revenue.kind": kind}, money)
    note({"ada.revenue.amount": money, "ada.currency": code})
