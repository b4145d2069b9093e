"""Items and purchases."""

from __future__ import annotations

from typing import Any, cast

import structlog
from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from sqlalchemy import CursorResult, select, update

from ada_otel import business

from .auth import signed_in_user
from .cache import cache
from .database import database
from .errors import ApiError, json_object, whole_number
from .models import Item, Purchase

log = structlog.get_logger(__name__)
blueprint = Blueprint("shop", __name__)


def _as_json(item: Item) -> dict[str, Any]:
    return {
        "id": item.id,
        "title": item.title,
        "price_cents": item.price_cents,
        "currency": item.currency,
        "in_stock": item.stock > 0,
    }


@blueprint.get("/items")
def list_items() -> ResponseReturnValue:
    """Items, by ``?search=`` and ``?limit=``: 200; 400 bad input. ``X-Cache`` says hit, miss or bypass."""
    search = request.args.get("search", "").strip()
    business.feature_used("search" if search else "browse")
    if len(search) > 100:
        raise ApiError(400, "bad_field", "'search' must have at most 100 characters.")
    limit = whole_number(request.args.get("limit", "20"), "limit", 1, 100)

    def load() -> list[dict[str, Any]]:
        statement = select(Item).order_by(Item.id).limit(limit)
        if search:
            statement = statement.where(Item.title.icontains(search, autoescape=True))
        with database().session() as db:
            return [_as_json(item) for item in db.scalars(statement)]

    items, found = cache().lookup(f"items:{limit}:{search}", load)
    log.debug("listed items", search=search, cache=found, count=len(items))
    return {"items": items}, 200, {"X-Cache": found}


@blueprint.get("/items/<int:item_id>")
def get_item(item_id: int) -> ResponseReturnValue:
    """One item: 200; 404 when there is none."""
    with database().session() as db:
        item = db.get(Item, item_id)
    if item is None:
        raise ApiError(404, "no_such_item", f"There is no item {item_id}.")
    return _as_json(item)


@blueprint.post("/purchases")
def purchase() -> ResponseReturnValue:
    """Buy: 201; 400 bad input, 401, 403 without the permission, 404 no such item, 409 not enough in stock."""
    user = signed_in_user("purchase")
    body = json_object()
    item_id = whole_number(body.get("item_id"), "item_id", 1, 2**31 - 1)
    quantity = whole_number(body.get("quantity", 1), "quantity", 1, 100)
    with database().session() as db:
        # The stock first, in one statement: two buyers of the last item cannot both get it.
        taken = db.execute(
            update(Item).where(Item.id == item_id, Item.stock >= quantity).values(stock=Item.stock - quantity)
        )
        item = db.get(Item, item_id)
        if item is None:
            raise ApiError(404, "no_such_item", f"There is no item {item_id}.")
        if cast("CursorResult[Any]", taken).rowcount == 0:
            business.purchase_failed("sold_out")
            log.warning("purchase refused", item_id=item_id, quantity=quantity, reason="sold out")
            raise ApiError(409, "sold_out", f"There are not {quantity} of {item.title!r} left.")
        bought = Purchase(
            user_id=user.id,
            item_id=item.id,
            quantity=quantity,
            total_cents=quantity * item.price_cents,
            currency=item.currency,
        )
        db.add(bought)
        db.commit()
    business.purchase(bought.total_cents / 100, bought.currency)
    log.info(
        "purchase", purchase_id=bought.id, item_id=item_id, quantity=quantity, total_cents=bought.total_cents
    )
    return {"id": bought.id, "total_cents": bought.total_cents, "currency": bought.currency}, 201
