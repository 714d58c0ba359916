"""Model shapes for tests: smaller than any preset, the same classes."""

from training.model_config import ModelConfig, SamShape

MICRO = ModelConfig(
    preset="micro",
    sam=SamShape(
        image_size_px=32,
        patch_size_px=4,
        hidden_size=16,
        num_layers=3,
        num_heads=2,
        mlp_dim=32,
        window_size=3,
        global_layers=(1,),
        output_channels=8,
    ),
    freeze_layers=0,
    latent_dim=24,
    image_size_px=32,
    block_channels=(8, 12, 16),
    code_dim=12,
    coarse_side_px=8,
    decoder_channels=(16, 12, 8, 8),
)
"""32 px crops, 24-D latent: milliseconds a step."""
