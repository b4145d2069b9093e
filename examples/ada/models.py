"""The tables, and the rows that a fresh database starts with."""

from __future__ import annotations

from datetime import datetime, timezone
from functools import cache

from sqlalchemy import ForeignKey, LargeBinary, String, Text, func, insert, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from werkzeug.security import generate_password_hash

#: Every seeded user's password: ADA is an example, and its drivers and tests have to sign in.
SEED_PASSWORD = "correct horse battery staple"

#: Enough users for the load driver to act as many people.
SEED_USERS = tuple(f"user{number:02d}" for number in range(1, 51))


def _now() -> datetime:
    return datetime.now(timezone.utc)


class Base(DeclarativeBase):
    """The base of all of ADA's tables."""


class User(Base):
    """Someone who can sign in."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40), unique=True)
    email: Mapped[str] = mapped_column(String(120))
    password_hash: Mapped[str] = mapped_column(String(255))
    permissions: Mapped[str] = mapped_column(String(200), default="")
    """What the user may do, separated by spaces: ``chat``, ``purchase``, ``upload``."""
    disabled: Mapped[bool] = mapped_column(default=False)

    def may(self, permission: str) -> bool:
        """Whether the user holds ``permission``."""
        return permission in self.permissions.split()


class Message(Base):
    """A chat line, of a user or of the AI (``author_id`` is None)."""

    __tablename__ = "messages"

    id: Mapped[int] = mapped_column(primary_key=True)
    room: Mapped[str] = mapped_column(String(40), index=True)
    author_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    text: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=_now)


class Item(Base):
    """Something for sale; the price is in cents."""

    __tablename__ = "items"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(80), index=True)
    price_cents: Mapped[int]
    currency: Mapped[str] = mapped_column(String(3), default="EUR")
    stock: Mapped[int]


class Purchase(Base):
    """One user bought some of one item."""

    __tablename__ = "purchases"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    quantity: Mapped[int]
    total_cents: Mapped[int]
    currency: Mapped[str] = mapped_column(String(3))
    created_at: Mapped[datetime] = mapped_column(default=_now)
    item: Mapped[Item] = relationship()


class Upload(Base):
    """A file that a user sent."""

    __tablename__ = "uploads"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    filename: Mapped[str] = mapped_column(String(120))
    content_type: Mapped[str] = mapped_column(String(80))
    size: Mapped[int]
    content: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    created_at: Mapped[datetime] = mapped_column(default=_now)


@cache
def _seed_password_hash() -> str:
    return generate_password_hash(SEED_PASSWORD)


def seed(session: Session) -> None:
    """Add the first users and items, unless there are users already. The caller commits.

    ``guest`` may sign in and nothing else; ``disabled`` may not sign in; item 12 is sold out.
    """
    if session.scalar(select(func.count()).select_from(User)):
        return
    users = [(name, "chat purchase upload", False) for name in ("ada", *SEED_USERS)]
    users += [("guest", "", False), ("disabled", "chat purchase upload", True)]
    session.execute(
        insert(User),
        [
            {
                "name": name,
                "email": f"{name}@ada.example",
                "password_hash": _seed_password_hash(),
                "permissions": permissions,
                "disabled": disabled,
            }
            for name, permissions, disabled in users
        ],
    )
    nouns = ("difference engine", "punched card", "loom", "notebook")
    titles = [f"{adjective} {noun}" for adjective in ("brass", "paper", "silver") for noun in nouns]
    session.execute(
        insert(Item),
        [
            {
                "id": number,
                "title": title,
                "price_cents": 250 * number,
                "currency": "EUR",
                "stock": 0 if number == 12 else 10_000_000,
            }
            for number, title in enumerate(titles, start=1)
        ],
    )
