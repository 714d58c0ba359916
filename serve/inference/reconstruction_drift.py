"""How well the model redraws what came in lately, beside what was there before: the half of drift that needs a model.

Stored pictures are framed as at enrolment and compared with what the decoder makes of their stored `mu`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bundle.image import Picture, decode, frame
from client.models import Quality
from index.items import Item
from serve.inference.decode_pool import oriented
from serve.inference.engine import Engine
from serve.inference.gallery_pool import GalleryPool
from serve.inference.orientation import shown_side
from serve.inference.quality import assess
from serve.observability.request_context import Trace

if TYPE_CHECKING:
    from index.gallery import Gallery

WORSE_DB = 1.5
"""Loss of PSNR, dB, at which a retrain is worth it: plainly visible, and more than samples of 32 differ by."""
BLURRED_MORE = 0.2
"""Growth of the share of blurred pictures that is told."""


@dataclass(frozen=True)
class Stored:
    """An ear of the gallery as its model meets it: the framed crop in left orientation, and its latent."""

    crop: Picture
    mu: np.ndarray[Any, np.dtype[np.float32]]


def read_stored(gallery: Gallery, items: Sequence[Item], engine: Engine) -> list[Stored]:
    """Those of the items that are still there, whose picture can be read."""
    stored = []
    for item in items:
        try:
            vectors = gallery.vectors(item.id, engine.ids[0])
            picture = frame(decode(gallery.crop(item.id)), item.box, engine.framing)
        except Exception:  # deleted meanwhile, or damaged: the others tell enough
            continue
        if vectors is not None:
            stored.append(Stored(oriented(picture, shown_side(item.side)), vectors.mu))
    return stored


async def quality(pool: GalleryPool, engine: Engine, trace: Trace, items: Sequence[Item]) -> dict[str, float] | None:
    """What the decoder makes of these items; None where there are none."""
    stored = await pool.run(trace, lambda: read_stored(pool.gallery, items, engine))
    again = await engine.decode(trace, [one.mu for one in stored]) if stored else []
    pairs = list(zip(stored, again, strict=True))
    return told(await pool.run(trace, lambda: [assess(one.crop, drawn, engine.reference) for one, drawn in pairs]))


def told(qualities: Sequence[Quality]) -> dict[str, float] | None:
    """Medians, and the share of blurred pictures; None where there is nothing."""
    if not qualities:
        return None
    names = ("psnr_db", "ssim", "sharpness", "ear_likeness")
    medians = {name: round(float(np.median([getattr(one, name) for one in qualities])), 4) for name in names}
    blurred_share = round(float(np.mean([one.blurred for one in qualities])), 4)
    return {"pictures": len(qualities), **medians, "blurred_share": blurred_share}


def advice(recent: dict[str, float] | None, earlier: dict[str, float] | None) -> list[str]:
    """What follows from the quality of both, in plain words."""
    if recent is None or earlier is None:
        return []
    words = []
    if (worse := earlier["psnr_db"] - recent["psnr_db"]) > WORSE_DB:
        words.append(
            f"The model redraws the recent ears {worse:.1f} dB worse than the earlier ones: it has not learned what "
            "they show. Retrain with them among the training pictures."
        )
    if recent["blurred_share"] - earlier["blurred_share"] > BLURRED_MORE:
        words.append(
            f"{recent['blurred_share']:.0%} of the recent pictures are blurred ({earlier['blurred_share']:.0%} of the "
            "earlier ones): look at the camera first, a retrain sharpens nothing."
        )
    if recent["ear_likeness"] < 0.5 <= earlier["ear_likeness"]:
        words.append("Most recent pictures do not look like ears to the model: look at how they are framed.")
    return words
