"""The spaces of a gallery in the truth: which encoders' vectors it holds, and which of them answers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal, NamedTuple

from sqlalchemy import Connection, insert, select

from index.errors import BadVector, SpaceMismatch
from index.tables import spaces

State = Literal["active", "staged", "retained"]


class Space(NamedTuple):
    """One encoder's vectors. `active` answers, `staged` is being filled, `retained` was active and can be again."""

    space_id: str
    dim: int
    state: State
    created: str


def read_spaces(connection: Connection) -> dict[str, Space]:
    """Every space, the oldest first."""
    query = select(spaces.c.space_id, spaces.c.dim, spaces.c.state, spaces.c.created).order_by(spaces.c.created)
    return {row.space_id: Space(*row) for row in connection.execute(query)}


def add_space(connection: Connection, space_id: str, dim: int, state: State) -> Space:
    """Make room for the vectors of one more encoder."""
    space = Space(space_id, dim, state, datetime.now(UTC).isoformat(timespec="milliseconds"))
    connection.execute(insert(spaces), [space._asdict()])
    return space


def open_active(connection: Connection, space_id: str, dim: int) -> dict[str, Space]:
    """The spaces of a gallery opened with `space_id`; a new gallery takes it. Raises SpaceMismatch, BadVector."""
    known = read_spaces(connection) or {space_id: add_space(connection, space_id, dim, "active")}
    active = next(space for space in known.values() if space.state == "active")
    if active.space_id != space_id:
        raise SpaceMismatch(active.space_id, space_id, "promote the new model, or open the gallery with the old one")
    if active.dim != dim:
        raise BadVector(f"dim is {dim}, but this gallery holds vectors of {active.dim} numbers")
    return known
