"""A gallery's own calibration through a promotion: thresholds of the old space are made anew in the new one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from index.errors import CalibrationRefused

if TYPE_CHECKING:
    from index.gallery import Gallery


def carry_calibration(gallery: Gallery, old: str, new: str) -> list[str]:
    """Calibrate space `new` on the gallery's ears as `old` is calibrated, unless it was since then.

    Returns why it was not possible, as objections to the promotion: /v1/verify would give no verdict.
    """
    kept, there = gallery.calibration(old), gallery.calibration(new)
    if old == new or kept is None or (there is not None and there.created >= kept.created):
        return []
    try:
        gallery.calibrate(new, kept.document["centred"])
    except CalibrationRefused as error:
        return [f"the gallery's calibration is lost (/v1/verify would give no verdict): {error}"]
    return []
