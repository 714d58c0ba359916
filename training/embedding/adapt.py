"""Fits the projection of an embedding branch to labelled crops: anew to many rendered people, or onwards to one's own.

Alignment and descriptions stay as they are, so this takes minutes on a CPU. Knows no files.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from training.embedding.branch import FEATURES, EarBranch, to_grey
from training.embedding.discriminant import fit_projection, within_whitening
from training.errors import DataError

logger = logging.getLogger(__name__)

BATCH = 64
IDENTITY_WEIGHT = 1.0
"""Mean length of the identity network's part of a vector, over that of the projected gradients."""
SHRINKAGE = 0.8
"""Of a projection that is adapted to few people."""


def describe(branch: EarBranch, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Descriptions (N, F) float32 of aligned crops (N, 128, 128, 3) uint8 RGB, left orientation."""
    parts = []
    with torch.inference_mode():
        for start in range(0, len(crops), BATCH):
            grey = to_grey(torch.from_numpy(np.ascontiguousarray(crops[start : start + BATCH])))
            parts.append(branch.describe(grey, branch.locate(grey)).numpy())
    return np.concatenate(parts)


def fit_head(
    branch: EarBranch, crops: NDArray[np.uint8], identities: Sequence[Hashable], shrinkage: float = SHRINKAGE
) -> EarBranch:
    """A copy of `branch` whose projection tells the people of `identities` apart (LDA with shrinkage).

    What an identity network says is taken over beside it, unchanged but for its weight: the network was trained on such
    people, so that within-person scatter measured on them would flatter it.

    Args:
        branch: alignment and descriptions are taken over.
        crops: (N, 128, 128, 3) uint8 RGB, framed, left orientation.
        identities: N (subject, side).
        shrinkage: share of the within-person scatter replaced by its mean variance, 0 to 1.

    Raises:
        DataError: fewer than two people with two pictures each.
    """
    people = _numbers(identities)
    logger.info("describing %d crops of %d identities", len(crops), len(set(people)))
    described = describe(branch, crops)
    cells, identity = described[:, :FEATURES], described[:, FEATURES:]
    try:
        mean, weight = fit_projection(cells, people, branch.project.out_features - identity.shape[1], shrinkage)
    except ValueError as error:
        raise DataError(str(error)) from None
    if not identity.shape[1]:
        return _with_head(branch, mean, weight)
    ours, theirs = _size((cells - mean) @ weight.T), _size(identity - identity.mean(0))
    own = (IDENTITY_WEIGHT / theirs) * np.eye(identity.shape[1], dtype=np.float32)
    weight = np.block([[weight / ours, np.zeros((len(weight), len(own)))], [np.zeros((len(own), FEATURES)), own]])
    return _with_head(branch, np.concatenate([mean, identity.mean(0)]), weight.astype(np.float32))


def adapt_head(
    branch: EarBranch, crops: NDArray[np.uint8], identities: Sequence[Hashable], shrinkage: float = SHRINKAGE
) -> EarBranch:
    """A copy of `branch` whose projection goes on from the one it has: centred on these people, and with what differs
    between pictures of one person whitened (within-class covariance normalisation, Hatch et al. 2006).

    A projection learned on few people alone is worse than the one it replaces: they show how pictures of one differ,
    but not in what people do. Arguments and errors are those of `fit_head`.
    """
    people = _numbers(identities)
    logger.info("describing %d crops of %d identities", len(crops), len(set(people)))
    described = describe(branch, crops)
    mean, weight = described.mean(0), branch.project.weight.numpy()
    try:
        whiten = within_whitening((described - mean) @ weight.T, people, shrinkage)
    except ValueError as error:
        raise DataError(str(error)) from None
    return _with_head(branch, mean, whiten.T.astype(np.float32) @ weight)


def _size(vectors: NDArray[Any]) -> float:
    """Root mean square of the vectors' lengths."""
    return float(np.sqrt((vectors**2).sum(1).mean()))


def _numbers(identities: Sequence[Hashable]) -> NDArray[np.str_]:
    names = {identity: str(number) for number, identity in enumerate(dict.fromkeys(identities))}
    return np.array([names[identity] for identity in identities])


def _with_head(branch: EarBranch, mean: NDArray[np.float32], weight: NDArray[np.float32]) -> EarBranch:
    fitted = copy.deepcopy(branch)
    with torch.no_grad():
        fitted.centre.copy_(torch.from_numpy(mean))
        fitted.project.weight.copy_(torch.from_numpy(weight / np.abs(weight).max()).half().float())
    return fitted
