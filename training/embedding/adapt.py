"""Fits the projection of an embedding branch to labelled crops: anew to many rendered people, or onwards to one's own.

Alignment and descriptions stay as they are, so this takes minutes on a CPU. Knows no files.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Hashable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from training.embedding.branch import EarBranch, to_grey
from training.embedding.discriminant import fit_projection, within_whitening
from training.errors import DataError

logger = logging.getLogger(__name__)

BATCH = 64
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
    try:
        mean, weight = fit_projection(describe(branch, crops), people, branch.project.out_features, shrinkage)
    except ValueError as error:
        raise DataError(str(error)) from None
    return _with_head(branch, mean, weight)


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


def _numbers(identities: Sequence[Hashable]) -> NDArray[np.str_]:
    names = {identity: str(number) for number, identity in enumerate(dict.fromkeys(identities))}
    return np.array([names[identity] for identity in identities])


def _with_head(branch: EarBranch, mean: NDArray[np.float32], weight: NDArray[np.float32]) -> EarBranch:
    fitted = copy.deepcopy(branch)
    with torch.no_grad():
        fitted.centre.copy_(torch.from_numpy(mean))
        fitted.project.weight.copy_(torch.from_numpy(weight / np.abs(weight).max()).half().float())
    return fitted
