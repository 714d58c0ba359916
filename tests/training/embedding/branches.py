"""A branch with random layers that are in doubt, so that it sees ears in their boxes; for tests of what carries it."""

import torch

from training.embedding.branch import EarBranch


def random_branch(dim: int = 1024, has_identity: bool = False) -> EarBranch:
    torch.manual_seed(0)
    branch = EarBranch(dim, has_identity).eval().requires_grad_(False)
    for net in (branch.coarse, branch.fine):
        net.head[-1].bias[34:] = 4.0  # the largest expected errors
    branch.mean_ear.copy_(torch.rand(17, 2) * 1.2 - 0.6)
    branch.box_theta.copy_(torch.tensor([[0.82, 0.0, 0.0], [0.0, 0.82, 0.0]]))
    return branch
