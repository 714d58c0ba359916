"""The contrastive term against a loop over equation 2, and against NT-Xent."""

import math

import pytest
import torch
from torch.nn import functional as F

from training.losses.contrastive import contrastive


def _loop(embeddings, labels, temperature):
    """SupCon, equation 2 of Khosla et al. 2020, as a loop."""
    total, anchors = 0.0, 0
    for i in range(len(labels)):
        others = [a for a in range(len(labels)) if a != i]
        partners = [p for p in others if labels[p] == labels[i]]
        if not partners:
            continue
        denominator = sum(math.exp(float(embeddings[i] @ embeddings[a]) / temperature) for a in others)
        terms = [math.log(math.exp(float(embeddings[i] @ embeddings[p]) / temperature) / denominator) for p in partners]
        total -= sum(terms) / len(partners)
        anchors += 1
    return total / anchors


@pytest.mark.parametrize("labels", [[0, 1, 2, 0, 1, 2], [0, 0, 1, 0, 0, 1], [0, 0, 3, 4, 5, 5]])
@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_contrastive_equals_the_loop(labels, temperature):
    embeddings = F.normalize(torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), dim=1)
    ours = contrastive(embeddings, torch.tensor(labels), temperature)
    assert ours.item() == pytest.approx(_loop(embeddings, labels, temperature), rel=1e-4)


def test_two_views_without_labels_are_nt_xent():
    """Chen et al. 2020: cross-entropy of the similarities, the other view being the right answer."""
    views = F.normalize(torch.randn(8, 5, generator=torch.Generator().manual_seed(1)), dim=1)
    similarity = (views @ views.T / 0.2).fill_diagonal_(-1e9)
    expected = F.cross_entropy(similarity, torch.tensor([4, 5, 6, 7, 0, 1, 2, 3]))
    torch.testing.assert_close(contrastive(views, torch.arange(4).repeat(2), 0.2), expected)


def test_partners_attract_and_others_repel():
    labels = torch.tensor([0, 0, 1, 1])
    east, north = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    together = contrastive(torch.stack([east, east, north, north]), labels)
    mixed = contrastive(torch.stack([east, north, east, north]), labels)
    assert together < 1e-3
    assert mixed > 5


def test_batch_without_partners_costs_nothing_and_has_a_gradient():
    embeddings = F.normalize(torch.randn(3, 4), dim=1).requires_grad_()
    loss = contrastive(embeddings, torch.arange(3))
    loss.backward()
    assert loss.item() == 0
    assert embeddings.grad is not None
    assert torch.isfinite(embeddings.grad).all()
