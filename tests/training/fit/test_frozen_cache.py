"""The frozen half's output kept from epoch to epoch: the same training, without computing it again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import lightning
import pytest
import torch

from tests.training.conftest import micro_config
from tests.training.shapes import MICRO
from training.config import LossWeights, TrainConfig
from training.data.datamodule import EarDataModule
from training.data.prepare import prepare
from training.errors import ConfigError
from training.fit.frozen_cache import FrozenCache
from training.fit.module import EarModule
from training.fit.session import quiet
from training.losses.objective import Objective
from training.losses.perceptual import Vgg16Features
from training.networks.decoder import EarDecoder
from training.networks.encoder import EarEncoder
from training.networks.vae import EarVAE

FROZEN = replace(MICRO, freeze_layers=2)
ROW_BYTES = 8 * 8 * 16 * 4


def crops(count: int) -> torch.Tensor:
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1


def encoder() -> EarEncoder:
    torch.manual_seed(0)
    return EarEncoder(FROZEN).train()


def close(first: torch.Tensor, second: torch.Tensor) -> bool:
    """Within 1e-4 of the norm."""
    return bool((first - second).norm() <= 1e-4 * second.norm())


def test_features_and_gradients_are_those_without_the_cache() -> None:
    cached, plain, images = encoder(), encoder(), crops(4)
    cache = FrozenCache(cached.sam, 1 << 20)
    cache.hidden(images[:3], [0, 1, 2])
    outputs = [cached.read(images, cache.hidden(images, [0, 1, 2, 3])).mu, plain.read(images).mu]
    for mu in outputs:
        mu.square().sum().backward()
    assert close(outputs[0], outputs[1])
    for (name, parameter), other in zip(cached.named_parameters(), plain.parameters(), strict=True):
        assert (parameter.grad is None) == (other.grad is None), name
        if parameter.grad is not None and other.grad is not None:
            assert close(parameter.grad, other.grad), name


def test_a_picture_is_computed_once_and_memory_has_a_limit() -> None:
    module, images = encoder(), crops(4)
    cache = FrozenCache(module.sam, 2 * ROW_BYTES)
    for _ in range(3):
        kept = cache.hidden(images, ["a", "b", "c", "d"])
        torch.testing.assert_close(kept, module.sam.prefix(images))
    assert cache.computed == 4 + 2 + 2
    assert cache.used_bytes == 2 * ROW_BYTES


def test_values_of_bfloat16_are_kept_in_two_bytes_each_and_come_back_exactly() -> None:
    module, images = encoder(), crops(2)
    cache = FrozenCache(module.sam, 1 << 20)
    with torch.autocast("cpu", torch.bfloat16):
        first = cache.hidden(images, [0, 1])
        again = cache.hidden(images, [0, 1])
    assert torch.equal(first, again)
    assert cache.used_bytes == 2 * ROW_BYTES // 2


def train(config: TrainConfig) -> EarModule:
    """Two epochs."""
    lightning.seed_everything(0, verbose=False)
    prepared = prepare(config)
    module = EarModule(config, EarVAE(config.model), None, prepared.landmarks)
    data = EarDataModule(prepared, config.batch_size, config.per_identity, config.seed, 0)
    with quiet():
        lightning.Trainer(
            max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, num_sanity_val_steps=0, use_distributed_sampler=False,
            default_root_dir=config.out,
        ).fit(module, data)  # fmt: skip
    return module


@pytest.mark.parametrize("augment", [0.0, 1.0])
def test_a_run_with_the_cache_learns_what_a_run_without_it_learns(ears, tmp_path: Path, augment: float) -> None:
    plain = replace(micro_config(ears, tmp_path), model=FROZEN, augment=augment, fast_dev_run=True, num_workers=0)
    cached = replace(plain, cache_frozen_gib=1.0)
    without, with_cache = train(plain), train(cached)
    for name, values in without.model.state_dict().items():
        if values.is_floating_point():
            assert close(with_cache.model.state_dict()[name], values), name
    assert without.frozen_cache is None
    assert with_cache.frozen_cache is not None
    # 12 validation pictures once; 24 training pictures once, in each view, where they stay as they are.
    assert with_cache.frozen_cache.computed == 12 + (24 * plain.views if augment == 0 else 0)


def test_the_cache_needs_frozen_layers_and_whole_weights(ears, tmp_path: Path) -> None:
    config = replace(micro_config(ears, tmp_path), fast_dev_run=True)
    with pytest.raises(ConfigError, match=r"--cache-frozen-gib 1\.0 needs frozen layers"):
        replace(config, cache_frozen_gib=1.0)
    with pytest.raises(ConfigError, match="whole weights"):
        replace(config, model=FROZEN, strategy="fsdp", cache_frozen_gib=1.0)


def test_channels_last_changes_neither_losses_nor_gradients() -> None:
    latent, target = torch.randn(2, MICRO.latent_dim, generator=torch.Generator().manual_seed(2)), crops(2)
    losses, gradients = [], []
    for layout in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(0)
        decoder, vgg = EarDecoder(MICRO).train(), Vgg16Features()
        for part in (decoder, vgg):
            part.to(memory_format=layout)
        objective = Objective(LossWeights(), vgg)
        loss = objective.total(objective.compare(decoder(latent), target))
        loss.backward()
        losses.append(loss.detach())
        gradients.append({name: parameter.grad for name, parameter in decoder.named_parameters()})
    assert close(losses[1], losses[0])
    for name, gradient in gradients[0].items():
        assert close(gradients[1][name], gradient), name
