"""Whom and what a model was trained on, small enough to travel with it: so that no later figure flatters it.

Subjects and pictures are kept as the first 8 bytes of a SHA-256, of the name and of the file: enough to recognise them,
too little to read them. Plain values only; knows neither checkpoints nor networks.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from common.records.record import EarRecord
from training.errors import DataError

FILE = "trained_on.json"
"""Of a bundle: what its checkpoint says."""
DIGEST_BYTES = 8
SCHEMA = 1
Digest = bytes


def picture_digest(data: bytes) -> Digest:
    """Of an encoded picture."""
    return hashlib.sha256(data).digest()[:DIGEST_BYTES]


def subject_digest(subject: str) -> Digest:
    """Of a person's name in the data."""
    return hashlib.sha256(b"subject " + subject.encode("utf-8", "surrogateescape")).digest()[:DIGEST_BYTES]


class Digests(NamedTuple):
    """The people and pictures of one side of a split."""

    people: frozenset[Digest]
    pictures: frozenset[Digest]

    @classmethod
    def of(cls, records: Iterable[EarRecord], digests: Iterable[Digest]) -> Self:
        """Of records and the digests of their pictures."""
        subjects = (record.subject for record in records if record.subject is not None)
        return cls(frozenset(map(subject_digest, subjects)), frozenset(digests))


@dataclass(frozen=True)
class TrainedOn:
    """What gradients saw (`train`), and what chose the best epoch (`val`)."""

    train: Digests
    val: Digests
    nameless: bool
    """Whether pictures of unknown subjects were trained on: then nobody can be known not to be among them."""
    incomplete: bool = False
    """Whether a model that this one started from does not say on whom it was trained."""

    @classmethod
    def of(cls, records: Sequence[EarRecord], digests: Iterable[Digest]) -> Self:
        """Of pictures that were learned from, without validation."""
        nameless = any(record.subject is None for record in records)
        return cls(Digests.of(records, digests), Digests.of((), ()), nameless)

    def after(self, *earlier: TrainedOn | None) -> TrainedOn:
        """Of a model that is made from others too: all that they were trained on; None is one that does not say."""
        parts = [self, *(part for part in earlier if part is not None)]
        train, val = (
            Digests(
                *(frozenset[Digest]().union(*found) for found in zip(*(getattr(p, side) for p in parts), strict=True))
            )
            for side in ("train", "val")
        )
        nameless = any(part.nameless for part in parts)
        return TrainedOn(train, val, nameless, None in earlier or any(part.incomplete for part in parts))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; `from_dict` reads it back."""
        packed = {
            f"{side}_{what}": base64.b64encode(b"".join(sorted(getattr(seen, what)))).decode()
            for side, seen in (("train", self.train), ("val", self.val))
            for what in ("people", "pictures")
        }
        # Versions that know no "incomplete" claim nothing of people where "nameless" is true; what it is without that
        # is "without_subject".
        flags = {"nameless": self.nameless or self.incomplete, "incomplete": self.incomplete}
        flags |= {"without_subject": self.nameless}
        return {"schema": SCHEMA, "digest_bytes": DIGEST_BYTES, **flags, **packed}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self | None:
        """None where there is nothing: a model that does not say whom it was trained on.

        Raises:
            DataError: written by a version that this one does not know.
        """
        if not values:
            return None
        if values.get("schema") != SCHEMA or values.get("digest_bytes") != DIGEST_BYTES:
            raise DataError(f"the model's list of whom it was trained on has schema {values.get('schema')!r}; update")
        sides = [
            Digests(*(_unpacked(values[f"{side}_{what}"]) for what in ("people", "pictures")))
            for side in ("train", "val")
        ]
        nameless = bool(values.get("without_subject", values["nameless"]))
        return cls(sides[0], sides[1], nameless, bool(values.get("incomplete", False)))


def _unpacked(text: str) -> frozenset[Digest]:
    content = base64.b64decode(text)
    return frozenset(content[start : start + DIGEST_BYTES] for start in range(0, len(content), DIGEST_BYTES))


class Exposure(NamedTuple):
    """How far pictures that a model is to be judged on were trained on."""

    held_out: list[bool]
    """For each picture, whether it is to be judged on: its person was not trained on, as far as that can be known."""
    sentence: str
    """What a report says first."""
    trustworthy: bool
    """Whether figures on what is held out are those of people not trained on; a calibration is kept only then."""


LEAST_PEOPLE = 2


def exposure(trained_on: TrainedOn | None, records: Sequence[EarRecord], digests: Sequence[Digest]) -> Exposure:
    """Tell people that were trained on from the others.

    A person was trained on whose name, or any of whose pictures, is among those trained on. Where all were, everything
    is kept and the sentence says so.
    """
    everything = [True] * len(records)
    if trained_on is None:
        return Exposure(
            everything, "It is not known on whom this model was trained: the figures may flatter it.", False
        )
    picture_seen = [digest in trained_on.train.pictures for digest in digests]
    if trained_on.incomplete:
        return _of_pictures(picture_seen, "it is not known on whom the model that it started from was trained")
    if trained_on.nameless:
        return _of_pictures(picture_seen, "pictures without subjects were trained on")
    if any(record.subject is None for record in records):
        return _of_pictures(picture_seen, "the subjects of these pictures are not known")
    seen = {
        record.subject
        for record, was_seen in zip(records, picture_seen, strict=True)
        if was_seen or subject_digest(str(record.subject)) in trained_on.train.people
    }
    people = {record.subject for record in records}
    if not seen:
        chose = sum(subject_digest(str(person)) in trained_on.val.people for person in people)
        more = f"; {chose} of them validated, so the best epoch was chosen on them" if chose else ""
        return Exposure(everything, f"None of the {len(people)} people were trained on{more}.", True)
    counted = f"{len(seen)} of {len(people)} people were trained on"
    if len(people) - len(seen) < LEAST_PEOPLE:
        return Exposure(everything, f"{counted}: the figures flatter the model.", False)
    others = [record.subject not in seen for record in records]
    return Exposure(others, f"{counted} and are left out: the figures are of the other {len(people - seen)}.", True)


def _of_pictures(seen: Sequence[bool], why: str) -> Exposure:
    cannot = f"whether their people were cannot be known, since {why}: the figures may flatter the model."
    if not any(seen):
        return Exposure([True] * len(seen), f"None of the {len(seen)} pictures were trained on; {cannot}", False)
    counted = f"{sum(seen)} of {len(seen)} pictures were trained on"
    if all(seen):
        return Exposure([True] * len(seen), f"{counted}: the figures flatter the model.", False)
    return Exposure([not was_seen for was_seen in seen], f"{counted} and are left out; {cannot}", False)


def check_disjoint(train: Mapping[Digest, str], val: Mapping[Digest, str]) -> None:
    """Raise DataError where a picture is in training and in validation. Both: digest -> a name for messages."""
    both = [f"{train[digest]} = {val[digest]}" for digest in train.keys() & val.keys()]
    if both:
        raise DataError(
            f"{len(both)} pictures are in training and in validation, byte for byte: {'; '.join(sorted(both)[:3])}; "
            "figures would flatter the model: keep each picture on one side"
        )
