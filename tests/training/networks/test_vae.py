"""The VAE as a researcher uses it, and the parameter counts."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from tests.training.shapes import MICRO
from training.checkpoint import Checkpoint, write_checkpoint
from training.errors import CheckpointError
from training.model_config import ModelConfig
from training.networks.vae import EarVAE, IdentityHead, sample
from training.presets import PRESETS


def _crops(batch=3):
    return torch.rand(batch, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_outputs_have_the_documented_shapes_and_ranges():
    model = EarVAE(MICRO).eval()
    torch.nn.init.constant_(model.decoder.to_coarse.bias, 1.5)
    out = model(_crops())
    assert out.reconstruction.shape == (3, 3, 32, 32)
    assert out.mu.shape == out.logvar.shape == (3, 24)
    assert out.reconstruction.abs().max() <= 1
    embedding = model.identity(out.mu)
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(3))


def test_evaluation_is_deterministic_and_decodes_mu():
    model = EarVAE(MICRO).eval()
    with torch.no_grad():
        out = model(_crops())
        torch.testing.assert_close(out.reconstruction, model.decoder(out.mu))


def test_sampling_follows_its_generator():
    model = EarVAE(MICRO).eval()
    with torch.no_grad():
        first, again, other = (
            model(_crops(), torch.Generator().manual_seed(seed)).reconstruction for seed in (5, 5, 6)
        )
    torch.testing.assert_close(first, again)
    assert (first - other).abs().max() > 0


def test_sample_has_the_moments_it_is_told():
    mu, logvar = torch.full((20_000, 2), 3.0), torch.log(torch.tensor([0.25, 4.0])).expand(20_000, 2)
    drawn = sample(mu, logvar, torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn.mean(0), torch.tensor([3.0, 3.0]), atol=0.05, rtol=0)
    torch.testing.assert_close(drawn.var(0), torch.tensor([0.25, 4.0]), atol=0.1, rtol=0.05)


def test_reconstruction_comes_from_the_latent_alone():
    """Two crops forced onto one latent must decode to one picture: no feature of the encoder reaches the decoder."""
    model = EarVAE(MICRO).eval()
    torch.nn.init.zeros_(model.encoder.to_mu.weight)
    with torch.no_grad():
        pictures = model(_crops(2)).reconstruction
    torch.testing.assert_close(pictures[0], pictures[1])


def test_identity_head_is_the_affine_map_then_unit_length():
    head = IdentityHead(3)
    head.mean.copy_(torch.tensor([1.0, 2.0, 3.0]))
    with torch.no_grad():
        head.weight.copy_(torch.diag(torch.tensor([2.0, 1.0, 1.0])))
    torch.testing.assert_close(head(torch.tensor([[2.5, 6.0, 3.0]])), torch.tensor([[0.6, 0.8, 0.0]]))


def test_untrained_identity_head_is_the_cosine_of_latents():
    mu = torch.randn(4, 5)
    torch.testing.assert_close(IdentityHead(5)(mu), torch.nn.functional.normalize(mu))


@pytest.mark.slow
def test_teacher_has_148_million_parameters_of_which_102_million_learn():
    model = EarVAE(ModelConfig())
    networks = sum(p.numel() for part in (model.encoder, model.decoder) for p in part.parameters())
    assert networks == pytest.approx(148e6, rel=0.01)
    count = model.parameter_count()
    assert 101e6 <= count.trainable <= 105e6
    assert count.total == count.trainable + count.frozen


def test_teacher_parameter_counts_on_the_meta_device():
    with torch.device("meta"):
        count = EarVAE(ModelConfig()).parameter_count()
    assert count == (148_208_876, 101_898_988, 46_309_888)


def test_tiny_freezes_nothing_but_its_components():
    with torch.device("meta"):
        count = EarVAE(PRESETS["tiny"]).parameter_count()
    assert count.frozen == 2 * (1152 * 384 + 1152 + 384)


@pytest.mark.parametrize("sam_size", [32, 28, 24, 12])
def test_every_sam_size_reaches_the_same_latent(sam_size):
    config = replace(MICRO, sam=replace(MICRO.sam, image_size_px=sam_size))
    mu, _ = EarVAE(config).encoder(_crops())
    assert mu.shape == (3, 24)


def test_model_survives_its_checkpoint(tmp_path):
    model = EarVAE(MICRO).eval()
    write_checkpoint(tmp_path / "m.ckpt", Checkpoint(MICRO, model.state_dict()))
    loaded = EarVAE.load_from_checkpoint(tmp_path / "m.ckpt")
    assert loaded.config == MICRO
    assert not loaded.training
    with torch.no_grad():
        torch.testing.assert_close(loaded(_crops()).reconstruction, model(_crops()).reconstruction)


def test_checkpoint_whose_tensors_do_not_fit_is_refused(tmp_path):
    wider = replace(MICRO, latent_dim=32)
    write_checkpoint(tmp_path / "m.ckpt", Checkpoint(wider, EarVAE(MICRO).state_dict()))
    with pytest.raises(CheckpointError, match="do not fit"):
        EarVAE.load_from_checkpoint(tmp_path / "m.ckpt")


def test_importing_the_model_imports_no_lightning():
    code = "import sys; from training import EarVAE; print([name for name in sys.modules if 'lightning' in name])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_importing_the_room_imports_no_torch():
    subprocess.run([sys.executable, "-c", "import sys, training; assert 'torch' not in sys.modules"], check=True)
