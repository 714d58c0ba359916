"""Muon and AdamW against torch's own."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.training.shapes import MICRO
from training.config import LossWeights, TrainConfig
from training.fit.module import EarModule
from training.fit.optimizer import BETAS, MUON_MOMENTUM, MuonAdamW, make_optimizer, orthogonalise
from training.networks.vae import EarVAE


def _config(**changes):
    base = TrainConfig(Path("d"), Path("o"), model=MICRO, sam_weights=None, losses=LossWeights(perceptual=0))
    return replace(base, precision="32", **changes)


def _gradients(parameters, step):
    generator = torch.Generator().manual_seed(step)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def test_muon_equals_torchs_own_on_matrices():
    ours, theirs = (nn.Parameter(torch.linspace(-1, 1, 24).view(6, 4).clone()) for _ in range(2))
    group = {"params": [ours], "lr": 0.02, "weight_decay": 0.01, "momentum": MUON_MOMENTUM, "muon": True}
    mine = MuonAdamW([group], lr=1e-3)
    reference = torch.optim.Muon([theirs], lr=0.02, weight_decay=0.01, momentum=MUON_MOMENTUM, adjust_lr_fn="original")
    for step in range(5):
        _gradients([ours], step)
        _gradients([theirs], step)
        mine.step()
        reference.step()
    torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=0)  # both iterate in bfloat16


def test_adamw_groups_equal_torchs_own():
    ours, theirs = (nn.Parameter(torch.linspace(-1, 1, 6).clone()) for _ in range(2))
    mine = MuonAdamW([{"params": [ours], "muon": False}], lr=1e-2, betas=BETAS, weight_decay=0.1)
    reference = torch.optim.AdamW([theirs], lr=1e-2, betas=BETAS, weight_decay=0.1)
    for step in range(5):
        _gradients([ours], step)
        _gradients([theirs], step)
        mine.step()
        reference.step()
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("shape", [(8, 20), (20, 8), (16, 16)])
def test_orthogonalised_matrix_has_singular_values_near_one(shape):
    values = torch.linalg.svdvals(orthogonalise(torch.randn(shape, generator=torch.Generator().manual_seed(0))).float())
    assert values.min() > 0.5
    assert values.max() < 1.3


def test_every_learning_parameter_is_in_exactly_one_group():
    for optimizer in ("adamw", "muon"):
        config = _config(optimizer=optimizer, losses=LossWeights(perceptual=0, landmark=1))
        module = EarModule(config, EarVAE(MICRO), landmarks=3)
        grouped = [id(p) for group in make_optimizer(module, config).param_groups for p in group["params"]]
        assert sorted(grouped) == sorted(id(p) for p in module.parameters() if p.requires_grad)


def test_muon_takes_hidden_matrices_and_leaves_embeddings_and_heads():
    config = _config(optimizer="muon")
    module = EarModule(config, EarVAE(MICRO))
    names = {id(p): name for name, p in module.named_parameters()}
    muon = next(group for group in make_optimizer(module, config).param_groups if group["muon"])
    taken = {names[id(p)] for p in muon["params"]}
    assert any("attn.qkv" in name for name in taken)
    assert any("decoder.stages" in name for name in taken)
    assert not any(part in name for name in taken for part in ("to_mu", "pos_embed", "identity", "to_coarse"))


def test_norms_biases_embeddings_and_the_identity_head_do_not_decay():
    module = EarModule(_config(), EarVAE(MICRO))
    names = {id(p): name for name, p in module.named_parameters()}
    groups = make_optimizer(module, _config()).param_groups
    still = {names[id(p)] for group in groups if group["weight_decay"] == 0 for p in group["params"]}
    assert "model.identity.weight" in still
    assert any("pos_embed" in name for name in still)
    assert all("norm" in name or "bias" in name or "rel_pos" in name for name in still if name.endswith(".bias"))
    assert not any(name.endswith("conv1.weight") for name in still)


def test_frozen_layers_are_left_out():
    config = _config(model=replace(MICRO, freeze_layers=2), sam_weights="some/folder")
    module = EarModule(config, EarVAE(config.model))
    count = sum(len(group["params"]) for group in make_optimizer(module, config).param_groups)
    assert count == sum(p.requires_grad for p in module.parameters()) < len(list(module.parameters()))


def test_state_survives_saving():
    parameter = nn.Parameter(torch.ones(4, 4))
    group = {"params": [parameter], "lr": 0.1, "weight_decay": 0.0, "momentum": 0.9, "muon": True}
    optimizer = MuonAdamW([group], lr=0.1)
    _gradients([parameter], 0)
    optimizer.step()
    twin = nn.Parameter(parameter.detach().clone())
    other = MuonAdamW([{**group, "params": [twin]}], lr=0.1)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))  # a state dict shares its tensors
    for p, o in ((parameter, optimizer), (twin, other)):
        _gradients([p], 1)
        o.step()
    torch.testing.assert_close(parameter, twin)


def test_compile_flag_compiles_encoder_and_decoder_in_place(micro_run, monkeypatch):
    """In place: the names of tensors in checkpoints stay."""
    from training.fit.trainer import build_model

    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda part, **_: compiled.append(type(part).__name__))
    model, _ = build_model(replace(micro_run, compile=True))
    assert compiled == ["SamEncoder", "Sequential", "EarDecoder"]
    assert not [name for name in model.state_dict() if "_orig_mod" in name]
