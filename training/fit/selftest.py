"""Three self-tests of a preset on this machine: the encoder, the whole VAE, and a training step through Lightning.

They need neither data nor weights: pictures are drawn, and SAM starts from random weights. A failure is an exception
that says what was wrong.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training.config import LossWeights, TrainConfig
from training.losses.kl import kl
from training.losses.objective import Objective
from training.model_config import ModelConfig
from training.networks.vae import EarVAE


class SelfTestFailed(Exception):
    """What a self-test found wrong, in words."""


def _expect(condition: bool, otherwise: str) -> None:
    if not condition:
        raise SelfTestFailed(otherwise)


def _images(model: ModelConfig, count: int) -> Tensor:
    side = model.image_size_px
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1


def check_encoder(model: ModelConfig) -> str:
    """Shapes, a latent that varies, and gradients everywhere but in the frozen prefix."""
    vae = EarVAE(model).train()
    mu, logvar = vae.encoder(_images(model, 2))
    _expect(mu.shape == logvar.shape == (2, model.latent_dim), f"mu is {tuple(mu.shape)}, logvar {tuple(logvar.shape)}")
    _expect(bool((mu[0] - mu[1]).abs().max() > 1e-6), "two different pictures give one latent")
    (mu.square().mean() + logvar.mean()).backward()
    for name, parameter in vae.encoder.named_parameters():
        _expect(parameter.requires_grad == (parameter.grad is not None), f"{name} has the wrong gradient")
    count = vae.parameter_count()
    return f"{count.trainable / 1e6:.1f} M of {count.total / 1e6:.1f} M parameters learn"


def check_vae(model: ModelConfig) -> str:
    """Reconstruction in shape and range, a finite loss, and one that falls in three steps of plain descent."""
    vae = EarVAE(model).train()
    images, objective = _images(model, 2), Objective(LossWeights(perceptual=0.0))
    optimizer = torch.optim.AdamW((p for p in vae.parameters() if p.requires_grad), lr=1e-4)
    losses = []
    for step in range(3):
        out = vae(images, torch.Generator().manual_seed(step))
        _expect(out.reconstruction.shape == images.shape, f"reconstruction is {tuple(out.reconstruction.shape)}")
        loss = objective.total({**objective.compare(out.reconstruction, images), "kl": kl(out.mu, out.logvar)})
        _expect(bool(torch.isfinite(loss)), "the loss is not finite")
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    _expect(losses[-1] < losses[0], f"the loss does not fall: {losses}")
    return f"loss {losses[0]:.3f} -> {losses[-1]:.3f} in three steps"


def check_module(model: ModelConfig) -> str:
    """One step of `ear-teacher train` on drawn pictures, and its checkpoint read back."""
    from training.fit.trainer import fit

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw_ears(folder / "ears", model.image_size_px)
        config = TrainConfig(
            data=folder / "ears",
            out=folder / "run",
            model=model,
            losses=LossWeights(perceptual=0.0),
            sam_weights=None,
            batch_size=1,
            num_workers=0,
            val_fraction=0.5,
            fast_dev_run=True,
        )
        path = fit(config)
        loaded = EarVAE.load_from_checkpoint(path)
        _expect(loaded.config == model, "the checkpoint came back with another configuration")
    return "one step, checkpoint written and read"


def draw_ears(folder: Path, side: int, count: int = 4) -> None:
    """A few pictures of ellipses, as a folder to train on."""
    from bundle.image import to_png

    folder.mkdir(parents=True)
    y, x = np.mgrid[:side, :side] / side - 0.5
    for number in range(count):
        inside = (x / (0.2 + 0.03 * number)) ** 2 + (y / 0.4) ** 2 < 1
        picture = np.where(inside[..., None], (190, 150, 130), (60, 50, 40)).astype(np.uint8)
        (folder / f"{number}.png").write_bytes(to_png(picture))


SELF_TESTS: dict[str, Callable[[ModelConfig], str]] = {
    "encoder": check_encoder,
    "VAE": check_vae,
    "Lightning module": check_module,
}
