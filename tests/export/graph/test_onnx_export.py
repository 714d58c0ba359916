"""What is written to disk is one valid file that holds its contract and says nothing of this machine."""

import os
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import nn

from export.errors import GraphError
from export.graph.onnx_export import GraphSpec, check_onnx, export_onnx

SPEC = GraphSpec("halver", "image", (4,), torch.uint8, ("half", "whole"), 18)


class Halver(nn.Module):
    def forward(self, image):
        values = image.float()
        return values / 2, values * 1.0


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "halver.onnx"
    export_onnx(Halver(), SPEC, path)
    return path


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_any_batch_runs(path, batch):
    image = np.arange(batch * 4, dtype=np.uint8).reshape(batch, 4)
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    half, whole = session.run(["half", "whole"], {"image": image})
    np.testing.assert_array_equal(half, image / 2)
    np.testing.assert_array_equal(whole, image)


def test_it_is_one_file_of_the_operator_set_asked_for(path):
    assert os.listdir(path.parent) == [path.name]
    assert {item.domain: item.version for item in onnx.load(path).opset_import}[""] == 18


def test_it_carries_no_path_of_this_machine(path):
    content = path.read_bytes()
    assert b".py" not in content
    assert os.path.dirname(torch.__file__).encode() not in content


def test_other_names_are_refused(path):
    with pytest.raises(GraphError, match=r"outputs are \['half', 'whole'\]; they must be \['whole', 'half'\]"):
        check_onnx(path, replace(SPEC, output_names=("whole", "half")))
    with pytest.raises(GraphError, match=r"inputs are \['image'\]"):
        check_onnx(path, replace(SPEC, input_name="picture"))


def test_a_fixed_batch_is_refused(path, tmp_path):
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    fixed = tmp_path / "fixed.onnx"
    onnx.save(model, fixed)
    with pytest.raises(GraphError, match="fixed at 2; it must be dynamic"):
        check_onnx(fixed, SPEC)


def test_an_invalid_graph_is_refused(path, tmp_path):
    model = onnx.load(path)
    model.graph.node[0].op_type = "NoSuchOperator"
    broken = tmp_path / "broken.onnx"
    onnx.save(model, broken)
    with pytest.raises(GraphError, match="the ONNX checker refuses the graph"):
        check_onnx(broken, SPEC)
