"""Pretrained weights from folders and files, fitted and refused."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import SamConfig, SamModel, SamVisionModel

from tests.training.losses.test_perceptual import published_state
from tests.training.shapes import MICRO
from training.errors import WeightsMissing
from training.losses.perceptual import perceptual
from training.networks.sam import SamEncoder, vision_config
from training.weights import SAM_SHA256, VGG_FILE, file_sha256, find_vgg, load_sam, load_vgg, vgg_weights


@pytest.fixture(scope="module")
def sam_folder(tmp_path_factory):
    """A whole SamModel, mask decoder and all, saved as Meta's is published; nothing is left as it was initialised."""
    torch.manual_seed(0)
    config = SamConfig(vision_config=vision_config(MICRO.sam).to_dict())
    config.mask_decoder_config.hidden_size = config.prompt_encoder_config.hidden_size = 8
    config.mask_decoder_config.num_attention_heads = 1
    model = SamModel(config)
    for name, parameter in model.named_parameters():
        if "pos" in name or parameter.dim() == 1:
            torch.nn.init.normal_(parameter, std=0.5)
    folder = tmp_path_factory.mktemp("sam")
    model.save_pretrained(folder)
    return folder, model.eval()


def _crops(side=32):
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_published_folder_gives_the_published_features(sam_folder):
    folder, model = sam_folder
    encoder = SamEncoder(MICRO.sam).eval()
    load_sam(encoder, str(folder))
    with torch.no_grad():
        wanted = model.vision_encoder(encoder.pixels(_crops())).last_hidden_state
        torch.testing.assert_close(encoder(_crops()), wanted)


@pytest.mark.parametrize("size", [24, 40])
def test_position_embeddings_are_fitted_to_another_input_size(sam_folder, size):
    folder, model = sam_folder
    encoder = SamEncoder(replace(MICRO.sam, image_size_px=size))
    load_sam(encoder, str(folder))
    inner, grid = encoder.vision.vision_encoder, size // 4
    assert inner.pos_embed.shape == (1, grid, grid, 16)
    assert inner.layers[1].attn.rel_pos_h.shape == (2 * grid - 1, 8)
    torch.testing.assert_close(inner.layers[0].attn.rel_pos_h, model.vision_encoder.layers[0].attn.rel_pos_h)
    published = model.vision_encoder.pos_embed.detach()
    torch.testing.assert_close(inner.pos_embed.mean(), published.mean(), atol=0.05, rtol=0)
    assert encoder(_crops()).shape == (2, 8, grid, grid)


def test_fitted_embeddings_keep_the_published_pattern():
    """Interpolating a ramp gives a ramp: the corners stay where they were, to half a cell."""
    from training.weights import _fit

    ramp = torch.linspace(0, 1, 8).view(1, 1, 8, 1).expand(1, 8, 8, 2)
    fitted = _fit("pos_embed", ramp, torch.Size((1, 4, 4, 2)))
    assert torch.all(fitted[0, 0, 1:, 0] > fitted[0, 0, :-1, 0])
    torch.testing.assert_close(fitted.mean(), torch.tensor(0.5))


def test_weights_of_another_shape_are_refused(sam_folder):
    folder, _ = sam_folder
    wider = SamEncoder(replace(MICRO.sam, hidden_size=32))
    with pytest.raises(WeightsMissing, match="not of this preset's shape"):
        load_sam(wider, str(folder))


def test_absent_weights_say_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    encoder = SamEncoder(MICRO.sam)
    with pytest.raises(WeightsMissing, match=r"weights fetch.*--sam-weights FOLDER.*--random-init"):
        load_sam(encoder, "nobody/has-this-model")


def test_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(WeightsMissing, match="holds no SAM model"):
        load_sam(SamEncoder(MICRO.sam), str(tmp_path))


def test_vgg_is_read_from_the_file_given(tmp_path):
    torch.save(published_state(), tmp_path / "vgg.pth")
    features = load_vgg(tmp_path / "vgg.pth")
    image = torch.rand(1, 3, 16, 16)
    assert perceptual(features, image, image).item() == 0


def test_absent_vgg_names_file_place_and_flags(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    with pytest.raises(WeightsMissing, match=r"vgg16-397923af\.pth.*--vgg-weights FILE.*--perceptual-weight 0"):
        find_vgg()


def test_vgg_is_found_where_fetch_and_torch_put_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    theirs = tmp_path / "hub" / "checkpoints" / "vgg16-397923af.pth"
    ours = tmp_path / ".cache" / "ear-teacher" / "weights" / "vgg16-397923af.pth"
    for place in (theirs, ours):
        place.parent.mkdir(parents=True)
        place.touch()
        assert find_vgg() == place


@pytest.mark.parametrize("content", [b"", b"garbage"])
def test_damaged_vgg_file_is_named(tmp_path, content):
    (tmp_path / "vgg.pth").write_bytes(content)
    with pytest.raises(WeightsMissing, match=r"vgg\.pth: cannot be read"):
        load_vgg(tmp_path / "vgg.pth")


def test_list_instead_of_a_state_dict_is_refused(tmp_path):
    torch.save([1, 2], tmp_path / "vgg.pth")
    with pytest.raises(WeightsMissing, match="holds a list"):
        load_vgg(tmp_path / "vgg.pth")


def test_vgg_of_another_origin_is_usable_and_said_to_be_unchecked(tmp_path):
    torch.save(published_state(), tmp_path / "vgg.pth")
    _, loaded = vgg_weights(tmp_path / "vgg.pth")
    assert loaded.contents == "unchecked"
    assert "contents not checked" in str(loaded)


def test_vgg_under_the_published_name_must_be_the_published_file(tmp_path):
    torch.save(published_state(), tmp_path / VGG_FILE)
    with pytest.raises(WeightsMissing, match="damaged, or not torchvision's file"):
        load_vgg(tmp_path / VGG_FILE)


def test_freshly_initialised_sam_is_never_called_pretrained(tmp_path):
    SamVisionModel(vision_config(MICRO.sam)).save_pretrained(tmp_path)
    loaded = load_sam(SamEncoder(MICRO.sam), str(tmp_path))
    assert loaded.contents == "untrained"
    assert "NOT PRETRAINED" in str(loaded)


def test_trained_sam_of_another_hash_is_not_called_published(sam_folder, monkeypatch):
    folder, _ = sam_folder
    loaded = load_sam(SamEncoder(MICRO.sam), str(folder))
    assert loaded.contents == "unchecked"
    monkeypatch.setitem(SAM_SHA256, file_sha256(folder / "model.safetensors"), "model.safetensors")
    assert load_sam(SamEncoder(MICRO.sam), str(folder)).contents == "published"


def test_shards_and_pickled_tensors_give_the_same_features(sam_folder, tmp_path):
    folder, model = sam_folder
    sharded, pickled = tmp_path / "sharded", tmp_path / "pickled"
    model.save_pretrained(sharded, max_shard_size="6KB")
    assert len(list(sharded.glob("*.safetensors"))) > 1
    pickled.mkdir()
    torch.save(model.state_dict(), pickled / "pytorch_model.bin")
    features = []
    for source in (folder, sharded, pickled):
        encoder = SamEncoder(MICRO.sam).eval()
        load_sam(encoder, str(source))
        features.append(encoder(_crops()))
    torch.testing.assert_close(features[0], features[1], atol=0, rtol=0)
    torch.testing.assert_close(features[0], features[2], atol=0, rtol=0)


def test_absent_shard_is_named(sam_folder, tmp_path):
    _, model = sam_folder
    model.save_pretrained(tmp_path, max_shard_size="6KB")
    first = min(tmp_path.glob("*.safetensors"))
    first.unlink()
    with pytest.raises(WeightsMissing, match=f"{first.name} is named by the index"):
        load_sam(SamEncoder(MICRO.sam), str(tmp_path))


@pytest.mark.parametrize(("name", "problem"), [("model.safetensors", "damaged"), ("pytorch_model.bin", "tensors")])
def test_damaged_sam_file_is_named(tmp_path, name, problem):
    (tmp_path / name).write_bytes(b"garbage")
    with pytest.raises(WeightsMissing, match=f"{name} .*{problem}"):
        load_sam(SamEncoder(MICRO.sam), str(tmp_path))


def test_hub_id_is_resolved_through_the_cache(sam_folder, tmp_path, monkeypatch):
    """A snapshot as the hub's client leaves it, and no network."""
    folder, _ = sam_folder
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.file_download.constants.HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--nobody--sam"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    (repository / "snapshots").mkdir()
    (repository / "snapshots" / ("0" * 40)).symlink_to(folder)
    assert load_sam(SamEncoder(MICRO.sam), "nobody/sam").contents == "unchecked"


def test_reading_sam_leaves_meta_devices_as_they_were(sam_folder):
    """What ended every run with pretrained weights: the library's loader patches torch while it loads."""
    script = (
        "import sys, torch; from training.networks.sam import SamEncoder; from tests.training.shapes import MICRO; "
        "from training.weights import load_sam; load_sam(SamEncoder(MICRO.sam), sys.argv[1])\n"
        "with torch.device('meta'): SamEncoder(MICRO.sam); assert torch.linspace(0, 1, 3).is_meta"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script, str(sam_folder[0])], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
