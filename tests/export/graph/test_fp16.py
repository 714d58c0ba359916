"""Half precision where it was meant, float32 where it must be."""

import torch
from torch import nn

from export.graph.fp16 import to_half
from export.graph.rewrite import rewrite


def dtypes(module):
    return {parameter.dtype for parameter in module.parameters()}


def test_regions_are_half_and_heads_are_not(vae):
    halved = to_half(rewrite(vae))
    assert dtypes(halved.get_submodule("encoder.sam.layers.0.lin1")) == {torch.float16}
    assert dtypes(halved.get_submodule("decoder.stages.0.refine")) == {torch.float16}
    for head in (halved.encoder.to_mu, halved.encoder.to_logvar, halved.identity, halved.decoder.to_grid):
        assert dtypes(head) == {torch.float32}


def test_norms_and_softmax_see_float32_only(vae):
    halved, seen = to_half(rewrite(vae)), []
    for module in halved.modules():
        if isinstance(module, (nn.LayerNorm, nn.Softmax)):
            module.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].dtype))
    with torch.inference_mode():
        mu, logvar = halved.encoder(torch.rand(2, 3, 32, 32))
    assert len(seen) == 8  # two norms and a softmax in each of two layers, two norms in the neck
    assert set(seen) == {torch.float32}
    assert mu.dtype == logvar.dtype == torch.float32


def test_named_modules_stay_in_float32(vae):
    halved = to_half(rewrite(vae), ["encoder.sam.layers.1", "decoder.stages"])
    assert dtypes(halved.get_submodule("encoder.sam.layers.1")) == {torch.float32}
    assert dtypes(halved.decoder) == {torch.float32}
    assert torch.float16 in dtypes(halved.get_submodule("encoder.sam.layers.0"))
    with torch.inference_mode():
        assert halved.decoder(torch.randn(1, 16)).dtype == torch.float32
        halved.encoder(torch.rand(2, 3, 32, 32))


def test_half_is_close_and_not_the_same(vae):
    faster = rewrite(vae)
    images = torch.rand(4, 3, 32, 32) * 2 - 1
    with torch.inference_mode():
        expected, given = faster.encoder(images)[0], to_half(faster).encoder(images)[0]
    assert not torch.equal(given, expected)
    assert torch.cosine_similarity(given, expected).min() > 0.9999


def test_the_networks_given_stay_float32(vae):
    faster = rewrite(vae)
    to_half(faster)
    assert dtypes(faster) == {torch.float32}
