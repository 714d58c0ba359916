"""A tiny checkpoint, crops that differ, and one export of it that the whole folder shares."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bundle.image import Picture
from export.config import ExportConfig
from export.write import export_bundle
from training.checkpoint import Checkpoint, write_checkpoint
from training.model_config import ModelConfig, SamShape
from training.networks.vae import EarVAE

# Upsampled by 2 (folded into the patches), an 8 x 8 grid cut into 3 x 3 windows (so padded), one global layer.
TINY = ModelConfig(
    preset="test",
    sam=SamShape(64, 8, 32, 2, 2, 64, 3, (1,), 16),
    freeze_layers=0,
    latent_dim=16,
    image_size_px=32,
    block_channels=(16, 16, 16),
    decoder_channels=(16, 16, 8, 8),
)


def lively(vae: EarVAE) -> EarVAE:
    """Random weights with life in them: relative positions, biases and batch statistics are not left at 0 and 1."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in vae.named_parameters():
            if parameter.dim() == 1 or "rel_pos" in name:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
        for module in vae.modules():
            if isinstance(module, nn.BatchNorm2d):
                width = module.num_features
                module.running_mean = torch.randn(width, generator=generator) * 0.1
                module.running_var = torch.rand(width, generator=generator) + 0.5
        vae.decoder.to_rgb.weight.mul_(20)  # decoded pictures that differ visibly
    return vae.eval().requires_grad_(False)


def make_vae(config: ModelConfig = TINY) -> EarVAE:
    torch.manual_seed(0)
    return lively(EarVAE(config))


@pytest.fixture(scope="session")
def vae() -> EarVAE:
    return make_vae()


@pytest.fixture(scope="session")
def crops() -> Picture:
    """(40, 32, 32, 3) uint8: smooth random pictures, four near copies of each of ten "people"."""
    rng = np.random.default_rng(0)
    people = rng.uniform(0, 255, (10, 1, 4, 4, 3)).repeat(8, axis=2).repeat(8, axis=3)
    pictures = people + rng.normal(0, 12, (10, 4, 32, 32, 3))
    return pictures.clip(0, 255).astype(np.uint8).reshape(-1, 32, 32, 3)


@pytest.fixture(scope="session")
def identities() -> list[str]:
    return [f"person{number // 4}" for number in range(40)]


@pytest.fixture(scope="session")
def checkpoint(vae: EarVAE, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "model.ckpt"
    write_checkpoint(path, Checkpoint(TINY, vae.state_dict(), {"seed": 7}, {"val_psnr_db": 21.5}))
    return path


@pytest.fixture(scope="session")
def exported(checkpoint, crops, identities, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with every variant, as `ear-teacher export` writes it."""
    folder = tmp_path_factory.mktemp("bundles") / "test"
    export_bundle(
        checkpoint, folder, crops, identities, ExportConfig(held_out="None of the 10 people were trained on.")
    )
    return folder
