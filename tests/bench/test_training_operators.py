"""Training's SAM casts and writes less than Hugging Face's."""

import torch

from bench.training_operators import count
from tests.training.shapes import MICRO
from training.networks.sam import SamEncoder


def test_a_step_casts_and_writes_less_than_hugging_face():
    torch.manual_seed(0)
    encoder = SamEncoder(MICRO.sam, freeze_layers=2).train()
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    theirs = count(encoder, lambda x: encoder.vision(pixel_values=encoder.pixels(x)).last_hidden_state, images)
    ours = count(encoder, encoder, images)
    assert ours.calls["_to_copy"] < theirs.calls["_to_copy"]
    assert sum(ours.calls.values()) < sum(theirs.calls.values())
