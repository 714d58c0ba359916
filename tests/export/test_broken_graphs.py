"""Graphs broken on purpose, exported for real, are refused: the gate's own test."""

import copy

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from export.config import ExportConfig
from export.crops import Crops
from export.graph.rewrite import rewrite
from export.parity.reference import make_reference
from export.parity.variants import judge_emulated_fp16, judge_variant, unstable_modules


@pytest.fixture(scope="module")
def reference(vae, crops, identities):
    return make_reference(vae, Crops(crops[:24], tuple(identities[:24])), ExportConfig(parity_crops=24))


@pytest.fixture(scope="module")
def sound(vae):
    return rewrite(vae)


def judged_with(changes, exported, reference, folder):
    """Rows of the exported encoder after its constants were changed: {name: function of the array}."""
    model = onnx.load(exported / "encoder.onnx")
    constants = {item.name: item for item in model.graph.initializer}
    for name, change in changes.items():
        array = change(numpy_helper.to_array(constants[name]).copy())
        constants[name].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), name))
    path = folder / "encoder.onnx"
    onnx.save(model, path)
    return judge_variant(path, "encoder", "fp32", reference, 8)


def second_input(exported, operator):
    """The constant that the first node of a kind takes: the pixels' scale and offset come first in the graph."""
    nodes = onnx.load(exported / "encoder.onnx", load_external_data=False).graph.node
    return next(node.input[1] for node in nodes if node.op_type == operator)


def test_the_same_file_unbroken_passes(exported, reference, tmp_path):
    assert all(row.passed for row in judged_with({}, exported, reference, tmp_path))


def test_a_dropped_normalisation_is_refused(exported, reference, tmp_path):
    scale, offset = second_input(exported, "Div"), second_input(exported, "Sub")
    rows = judged_with({scale: np.ones_like, offset: np.zeros_like}, exported, reference, tmp_path)
    assert {row.batch for row in rows} == {1, 3, 8}
    assert all("error / distance between pictures" in " ".join(row.refusals) for row in rows)


def test_swapped_colour_channels_are_refused(exported, reference, tmp_path):
    changes = {"encoder.sam.patches.projection.weight": lambda weight: weight[:, ::-1]}
    rows = judged_with(changes, exported, reference, tmp_path)
    assert all("error / distance between pictures" in " ".join(row.refusals) for row in rows)


def test_a_constant_output_is_refused(exported, reference, tmp_path):
    rows = judged_with({"encoder.to_mu.weight": np.zeros_like}, exported, reference, tmp_path)
    assert "mu does not vary in the variant" in rows[-1].refusals[1]


@pytest.fixture(scope="module")
def overflowing(vae):
    """One channel of the residual stream past 65504 between two layers: float32 bears it, float16 does not."""
    networks = copy.deepcopy(vae)
    first, second = networks.encoder.sam.vision.vision_encoder.layers
    first.mlp.lin2.bias[3] += 2e5
    second.mlp.lin2.bias[3] -= 2e5
    return networks


def test_an_overflowing_layer_norm_is_refused_and_its_cause_named(overflowing, crops):
    reference = make_reference(overflowing, Crops(crops[:24]), ExportConfig(parity_crops=24))
    rewritten = rewrite(overflowing)
    row = judge_emulated_fp16(rewritten, "encoder", reference)
    assert row.refusals[0].startswith("embedding is not finite for")
    modules = unstable_modules(rewritten, "encoder", reference)
    assert modules[0].name == "encoder.sam.layers.0.lin2"
    assert "past float16's 65504" in str(modules[0])
    assert "encoder.sam.layers.0" in [module.name for module in modules]  # the residual sum carries it on


def test_what_overflows_passes_once_its_region_stays_float32(overflowing, crops):
    reference = make_reference(overflowing, Crops(crops[:24]), ExportConfig(parity_crops=24))
    row = judge_emulated_fp16(rewrite(overflowing), "encoder", reference, ["encoder.sam"])
    assert row.passed, row.refusals


def test_a_sound_network_has_no_unstable_modules(sound, reference):
    assert judge_emulated_fp16(sound, "encoder", reference).passed
    assert unstable_modules(sound, "encoder", reference) == []
    assert unstable_modules(sound, "decoder", reference) == []


def test_a_layer_that_loses_its_digits_is_named(vae, crops):
    """Nothing overflows here: an offset, which norms take away again, leaves float16 no digits for what varies."""
    networks = copy.deepcopy(vae)
    first, second = networks.encoder.sam.vision.vision_encoder.layers
    first.mlp.lin2.bias += 3000
    second.mlp.lin2.bias -= 3000
    reference = make_reference(networks, Crops(crops[:24]), ExportConfig(parity_crops=24))
    rewritten = rewrite(networks)
    row = judge_emulated_fp16(rewritten, "encoder", reference)
    assert any("error / distance between pictures" in text for text in row.refusals)
    assert unstable_modules(rewritten, "encoder", reference)[0].name == "encoder.sam.layers.0.lin2"


def test_half_truth_sees_what_onnx_runtime_on_cpu_does_not():
    """A product past 65504 is infinite in float16, whatever the CPU does in between."""
    from export.parity.fp16_emulation import HalfProducts

    linear = nn.Linear(8, 1, bias=False).half().requires_grad_(False)
    linear.weight.fill_(300)
    with torch.inference_mode(), HalfProducts():
        assert linear(torch.full((1, 8), 300.0).half()).isinf().all()
