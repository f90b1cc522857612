"""Lists with opaque cursors: keyset pagination, so that a page stays right while rows are added."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel
from sqlalchemy import ColumnElement, Row, Select, literal, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from server.problems import Refused
from suites.errors import Finding

T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    """One page of a list."""

    items: list[T]
    next: str | None
    """Cursor of the next page; null on the last."""


def encode_cursor(values: Sequence[Any]) -> str:
    """Opaque text for the place after which the next page starts."""
    plain = [v.isoformat() if isinstance(v, datetime) else v for v in values]
    return base64.urlsafe_b64encode(json.dumps(plain).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, types: Sequence[type]) -> list[Any]:
    """The inverse. Raises Refused (400) for text that no list of ours gave."""
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(values, list) or len(values) != len(types):
            raise ValueError
        parsed = [
            datetime.fromisoformat(v) if kind is datetime else v
            for v, kind in zip(values, types, strict=True)
        ]
        if not all(v is None or isinstance(v, kind) for v, kind in zip(parsed, types, strict=True)):
            raise ValueError
    except (ValueError, TypeError, binascii.Error):
        remedy = "take it from `next`, or leave it out"
        finding = Finding("query.cursor", "not a cursor of this list", remedy)
        raise Refused("bad-request", "the cursor can't be read", finding) from None
    return parsed


def given(**rules: Any) -> dict[str, Any]:
    """The rules of a list that were named, for `filter_by`."""
    return {name: value for name, value in rules.items() if value is not None}


def read_page(
    session: Session,
    query: Select[*tuple[Any, ...]],
    order: Sequence[InstrumentedAttribute[Any]],
    *,
    cursor: str | None,
    limit: int,
    view: Callable[[Row[*tuple[Any, ...]]], T],
    descending: bool = True,
) -> Page[T]:
    """One page of `query` by `order`: all columns the same way, together unique and never NULL."""
    if cursor is not None:
        after = decode_cursor(cursor, [column.type.python_type for column in order])
        here = tuple_(*order)
        there = tuple_(*(literal(v, c.type) for v, c in zip(after, order, strict=True)))
        query = query.where(here < there if descending else here > there)
    sorting: list[ColumnElement[Any]] = [c.desc() if descending else c.asc() for c in order]
    keys = [column.label(f"cursor_{i}") for i, column in enumerate(order)]
    rows = session.execute(query.add_columns(*keys).order_by(*sorting).limit(limit + 1)).all()
    following = None
    if len(rows) > limit:
        last = rows[limit - 1]
        following = encode_cursor([getattr(last, f"cursor_{i}") for i in range(len(order))])
    return Page(items=[view(row) for row in rows[:limit]], next=following)
