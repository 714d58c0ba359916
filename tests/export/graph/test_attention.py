"""Every form of attention computes what Hugging Face's does, in torch and as exported."""

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import nn

from export.graph.attention import FoldedAttention, GraphAttention, StandardAttention, attention_form
from export.graph.onnx_export import GraphSpec, export_onnx
from export.graph.sam import SamGraph
from tests.export.conftest import TINY, make_vae

FORMS = [GraphAttention, FoldedAttention, StandardAttention]


class Batched(nn.Module):
    """(B, N, C) outside, (B * N, C) inside."""

    def __init__(self, attention):
        super().__init__()
        self.attention = attention

    def forward(self, tokens):
        return self.attention(tokens.flatten(0, 1)).reshape(tokens.shape)


@pytest.mark.parametrize("window", [0, 3, 4])
@pytest.mark.parametrize("form", FORMS[1:])
def test_the_forms_agree_with_hugging_face_in_torch(form, window):
    sam = make_vae(replace(TINY, sam=replace(TINY.sam, window_size=window))).encoder.sam
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.inference_mode():
        expected, given = sam(images), SamGraph(sam, 32, form).eval()(images)
    torch.testing.assert_close(given, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("form", "opset", "operator"),
    [
        (FoldedAttention, 20, "MultiHeadAttention"),
        (StandardAttention, 23, "Attention"),
        (GraphAttention, 20, "Softmax"),
    ],
)
def test_the_forms_become_the_operator_they_are_for_and_agree_once_exported(vae, form, opset, operator, tmp_path):
    layer = vae.encoder.sam.vision.vision_encoder.layers[0]  # 3 x 3 windows on an 8 x 8 grid: padded
    attention = Batched(form(layer.attn, 8, 3)).eval()
    path = tmp_path / "attention.onnx"
    export_onnx(attention, GraphSpec("attention", "tokens", (64, 32), torch.float32, ("mixed",), opset), path)
    assert operator in {node.op_type for node in onnx.load(path).graph.node}
    tokens = np.random.default_rng(0).normal(size=(3, 64, 32)).astype(np.float32)
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        expected = Batched(GraphAttention(layer.attn, 8, 3)).eval()(torch.from_numpy(tokens)).numpy()
    np.testing.assert_allclose(session.run(None, {"tokens": tokens})[0], expected, atol=2e-6)


def test_cpu_files_are_folded_and_all_others_hold_standard_operators():
    assert attention_form("fp32", 20, portable=False) is FoldedAttention
    assert attention_form("fp32", 20, portable=True) is GraphAttention
    assert attention_form("fp16", 20, portable=False) is GraphAttention
    assert attention_form("fp16", 23, portable=False) is StandardAttention
