"""What a set of pictures consists of, counted: for the data sheet that travels with every model.

Names no person and no path. Knows records, not pictures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from common.records.record import EarRecord

MOST_VALUES = 12
"""An attribute with more values than this is a measurement, not a group, and is left out."""
_NOT_GROUPS = ("split", "image")


def data_facts(records: Sequence[EarRecord]) -> dict[str, Any]:
    """Plain JSON types: pictures, subjects, sides, boxes, landmarks, and the groups that the data itself knows."""
    each = Counter(record.subject for record in records if record.subject is not None)
    facts: dict[str, Any] = {"pictures": len(records), "subjects": len(each)}
    if each:
        counts = sorted(each.values())
        facts["pictures_per_subject"] = {"least": counts[0], "median": float(np.median(counts)), "most": counts[-1]}
    facts["sides"] = _counted([record.side or "unknown" for record in records])
    facts["with_box"] = sum(record.box is not None for record in records)
    facts["with_landmarks"] = sum(record.landmarks is not None for record in records)
    return {**facts, "groups": groups(records)}


def groups(records: Sequence[EarRecord]) -> dict[str, dict[str, int]]:
    """Attribute -> value -> pictures, of attributes with few values."""
    names = sorted({name for record in records for name in record.attributes} - set(_NOT_GROUPS))
    counted = {name: _counted([record.attributes.get(name) or "unknown" for record in records]) for name in names}
    return {name: values for name, values in counted.items() if 1 < len(values) <= MOST_VALUES}


def _counted(values: Sequence[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))
