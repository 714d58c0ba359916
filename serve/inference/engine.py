"""One loaded model at work: crops and latents of many requests joined into batches.

Knows bundle's model and the batcher; knows neither pictures' files, nor the gallery, nor HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from bundle.framing import Framing
from bundle.golden import GOLDEN_NAME
from bundle.image import Picture
from bundle.landmarks import EarFinder, FoundEar, Letterboxed
from bundle.landmarks_bundle import open_finder
from bundle.model import EarModel
from bundle.session import AUTO
from serve.errors import NotHere
from serve.inference.batcher import Batcher, BatchLimits
from serve.inference.eigenears import load_eigenears
from serve.inference.encoded import Encoded, encoded_rows
from serve.inference.quality import load_reference
from serve.observability.request_context import Trace
from serve.settings import Settings

CPU, CUDA = "onnxruntime-cpu", "onnxruntime-cuda"
WARM_UP_S, CPU_WARM_UP_S = 1.0, 0.02
"""For each graph. On the CPU a size's first run is as fast as its second: little is to be gained by trying them all."""
PHOTOS_ON_CPU = 4
"""Most photos in one run of the detector on the CPU: more are no faster there, and 16 take 580 MiB, 4 only 115."""
Vector = NDArray[np.float32]
ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class Golden:
    """One golden crop, (S, S, 3) uint8, the embedding (D,) float32 that it must give, and how nearly."""

    crop: Picture
    embedding: Vector
    cosine_min: float


class BatchObserver(Protocol):
    """Told of every batch that ran: which graph, how many items, how long."""

    def __call__(self, graph: str, size: int, seconds: float) -> None: ...


def _ignore(graph: str, size: int, seconds: float) -> None:
    pass


class Engine:
    """A model with a batcher for each of its graphs; that of the landmarks only where the bundle has one."""

    def __init__(self, model: EarModel, settings: Settings, observe: BatchObserver = _ignore) -> None:
        self.model = model
        self.framing: Framing = model.manifest.framing
        self.eigenears = load_eigenears(model.folder)
        self.reference = load_reference(model.folder)
        self.golden = _golden(model)
        longest_s = settings.longest_batch_ms / 1e3 if settings.longest_batch_ms else None
        limits = BatchLimits(settings.max_batch, settings.queue_size, settings.stalled_after_s, longest_s=longest_s)
        of_encoder, of_decoder = (
            replace(limits, workers=slots) for slots in (model.encoder_slots, model.decoder_slots)
        )
        self.encoder = Batcher(
            self._encode, "encoder", of_encoder, buckets=model.encoder_buckets, observe=partial(observe, "encoder")
        )
        self.decoder = Batcher(
            self._decode, "decoder", of_decoder, buckets=model.decoder_buckets, observe=partial(observe, "decoder")
        )
        # "auto" builds no TensorRT engine, and logs where it takes another runtime than the encoder's.
        by_name = model.runtime == CPU or (model.runtime == settings.runtime == CUDA)
        runtime = model.runtime if by_name else AUTO
        self._finder = open_finder(model.folder, model.manifest, runtime, settings.threads, settings.gpu_slots)
        self._finding: Batcher[Letterboxed, list[FoundEar]] | None = None
        if self._finder is not None:
            session = self._finder.session
            limits = replace(limits, workers=session.slots)
            if session.runtime == CPU:
                limits = replace(limits, max_batch=min(limits.max_batch, PHOTOS_ON_CPU))
            self._finding = Batcher(
                self._find, "landmarks", limits, buckets=session.buckets, observe=partial(observe, "landmarks")
            )

    @property
    def ids(self) -> tuple[str, str]:
        """(space_id, bundle_id)."""
        return self.model.space_id, self.model.bundle_id

    async def encode(self, trace: Trace, crops: Sequence[Picture]) -> list[Encoded]:
        """Encode (S, S, 3) uint8 crops in left orientation. Raises what the batcher raises."""
        return await _submit(self.encoder, trace, crops)

    async def decode(self, trace: Trace, latents: Sequence[Vector]) -> list[Picture]:
        """Decode `mu` latents (D,) float32 to (S, S, 3) uint8 pictures in left orientation."""
        return await _submit(self.decoder, trace, latents)

    @property
    def has_spread(self) -> bool:
        """Whether the encoder says how sure it is of the ear: its side, and its being one, follow from that."""
        return self.model.has_spread

    def likeness(self, encoded: Encoded) -> float | None:
        """How like an ear a crop is by the certainty of its landmarks, 0 to 1; None where the bundle does not say."""
        ears = self.model.manifest.ear_spread
        return None if ears is None or encoded.spread is None else ears.likeness(encoded.spread)

    @property
    def has_landmarks(self) -> bool:
        """Whether ears can be found in photos."""
        return self._finder is not None

    @property
    def finder(self) -> EarFinder:
        """What finds ears in photos. Raises NotHere where the bundle has no landmarks."""
        if self._finder is None:
            raise NotHere("the bundle has no landmarks; add them with `ear-teacher detector export`")
        return self._finder

    async def find(self, trace: Trace, squares: Sequence[Letterboxed]) -> list[list[FoundEar]]:
        """The ears of each letterboxed photo, the uncertain ones too. Raises NotHere, and what the batcher raises."""
        if self._finding is None:
            raise NotHere(f"bundle {self.model.bundle_id} has no landmarks")
        return await _submit(self._finding, trace, squares)

    def check_room_to_find(self) -> None:
        """Raise Overloaded now if a photo would be refused (before decoding it)."""
        if self._finding is not None:
            self._finding.check_room()

    def warm_up(self) -> None:
        """Run every batch size of the graphs, as far as that takes little time; on a GPU learn what each costs."""
        size, on_cpu = self.framing.size_px, self.model.runtime == CPU
        budget_s = CPU_WARM_UP_S if on_cpu else WARM_UP_S
        self.encoder.warm_up(np.zeros((size, size, 3), np.uint8), budget_s, measure=not on_cpu)
        self.decoder.warm_up(np.zeros(self.model.latent_dim, np.float32), budget_s, measure=not on_cpu)

    @property
    def batchers(self) -> dict[str, Batcher[Any, Any]]:
        """By graph."""
        known: dict[str, Batcher[Any, Any]] = {"encoder": self.encoder, "decoder": self.decoder}
        return known if self._finding is None else known | {"landmarks": self._finding}

    def close(self, drain_s: float = 0.0) -> None:
        """Let what waits finish for at most `drain_s` seconds, then free the model."""
        for batcher in self.batchers.values():
            batcher.close(drain_s)
        if self._finder is not None:
            self._finder.close()
        self.model.close()

    def _encode(self, crops: list[Picture]) -> list[Encoded]:
        return encoded_rows(self.model.encode(np.stack(crops)))

    def _find(self, squares: list[Letterboxed]) -> list[list[FoundEar]]:
        return self.finder.find(squares, threshold=0.0)

    def _decode(self, latents: list[Vector]) -> list[Picture]:
        return list(self.model.decode(np.stack(latents)))


def _golden(model: EarModel) -> Golden:
    with np.load(model.folder / GOLDEN_NAME, allow_pickle=False) as archive:
        crop, embedding = archive["crops"][0], archive["embedding"][0]
    precision: Any = model.precision
    return Golden(crop, embedding, model.manifest.golden[precision].cosine_min)


async def _submit(batcher: Batcher[ItemT, ResultT], trace: Trace, items: Sequence[ItemT]) -> list[ResultT]:
    done = await batcher.submit(items, trace.deadline, trace.turn)
    trace.add("queue", max(one.queue_ms for one in done))
    trace.add("compute", max(one.compute_ms for one in done))
    return [one.value for one in done]
