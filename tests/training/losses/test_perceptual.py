"""VGG16 features against the published keys, spelled out by hand."""

import pytest
import torch
from torch.nn import functional as F

from training.errors import WeightsMissing
from training.losses.perceptual import IMAGENET_MEAN, IMAGENET_STD, Vgg16Features, perceptual

# torchvision's published state dict of VGG16, as its keys and shapes are: (number, out, in) of every convolution.
PUBLISHED = [(0, 64, 3), (2, 64, 64), (5, 128, 64), (7, 128, 128), (10, 256, 128), (12, 256, 256), (14, 256, 256)]
PUBLISHED += [(17, 512, 256), (19, 512, 512), (21, 512, 512), (24, 512, 512), (26, 512, 512), (28, 512, 512)]


def published_state(seed=0):
    """Random tensors under torchvision's keys, the classifier included."""
    generator = torch.Generator().manual_seed(seed)
    state = {"classifier.0.bias": torch.zeros(4096)}
    for number, out, into in PUBLISHED:
        scale = (2 / (into * 9)) ** 0.5
        state[f"features.{number}.weight"] = torch.randn(out, into, 3, 3, generator=generator) * scale
        state[f"features.{number}.bias"] = torch.randn(out, generator=generator) * 0.1
    return state


@pytest.fixture(scope="module")
def state():
    return published_state()


def _by_hand(state, images):
    """VGG16 to relu4_3, spelled out from the published keys."""
    hidden = (images + 1) / 2 - torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1)
    hidden = hidden / torch.tensor(IMAGENET_STD).view(1, 3, 1, 1)
    found = []
    for stage in ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21)):
        for number in stage:
            hidden = F.relu(
                F.conv2d(hidden, state[f"features.{number}.weight"], state[f"features.{number}.bias"], padding=1)
            )
        found.append(hidden)
        hidden = F.max_pool2d(hidden, 2)
    return found


def test_features_equal_those_computed_by_hand_from_the_published_keys(state):
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    ours = Vgg16Features.from_state_dict(state, "vgg16.pth")(images)
    assert [tuple(f.shape[1:]) for f in ours] == [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4)]
    torch.testing.assert_close(ours, _by_hand(state, images))


def test_perceptual_is_the_mean_feature_difference(state):
    features = Vgg16Features.from_state_dict(state, "vgg16.pth")
    first, second = torch.rand(2, 2, 3, 16, 16) * 2 - 1
    pairs = zip(_by_hand(state, first), _by_hand(state, second), strict=True)
    expected = torch.stack([(a - b).abs().mean() for a, b in pairs]).mean()
    torch.testing.assert_close(perceptual(features, first, second), expected)
    assert perceptual(features, first, first).item() == 0


def test_gradient_reaches_the_reconstruction_and_not_the_weights(state):
    features = Vgg16Features.from_state_dict(state, "vgg16.pth")
    reconstruction = (torch.rand(1, 3, 16, 16) * 2 - 1).requires_grad_()
    perceptual(features, reconstruction, torch.zeros(1, 3, 16, 16)).backward()
    assert reconstruction.grad is not None
    assert all(p.grad is None for p in features.parameters())


def test_file_of_other_weights_is_refused_with_its_name(state):
    broken = {key: value for key, value in state.items() if key != "features.10.weight"}
    with pytest.raises(WeightsMissing, match=r"other\.pth.*features\.10\.weight"):
        Vgg16Features.from_state_dict(broken, "other.pth")
