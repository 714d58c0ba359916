"""The forms of attention that are compared give what Hugging Face's layer gives."""

import pytest
import torch

from bench.training_attention import difference, forms, rows, with_positions
from tests.training.shapes import MICRO
from training.networks.sam import SamEncoder


@pytest.mark.filterwarnings("ignore:flex_attention called without")
@pytest.mark.parametrize("grid", [4, 6, 7])
def test_every_form_gives_hugging_faces_output_in_every_layer(grid):
    torch.manual_seed(0)
    layers = with_positions(SamEncoder(MICRO.sam)).vision.vision_encoder.layers
    hidden = torch.randn(2, grid, grid, MICRO.sam.hidden_size)
    for layer in layers:
        for name, form in forms(compiled=False).items():
            assert difference(form, layer, hidden) < 1e-5, name


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.soak
def test_forward_and_backward_of_both_kinds_of_layer_are_timed():
    measured = dict(rows(torch.device("cpu"), 64, 1, runs=1))
    assert len(measured) == 10  # 2 kinds of layer; 3 forms forward, 2 backward: flex_attention has none on a CPU
    assert all("x Hugging Face's" in figure for figure in measured.values())
