"""The bench of training measures what it says, on the smallest model."""

from pathlib import Path

from bench.training_speed import WARM_UP, Speeds, measure
from tests.training.conftest import micro_config, write_ears


def test_input_step_and_plain_encoder_are_measured_in_one_run(tmp_path: Path) -> None:
    write_ears(tmp_path, range(4), "train_teacher.npy")
    write_ears(tmp_path, range(4, 6), "val_teacher.npy")
    speeds = measure(micro_config(tmp_path, tmp_path / "run"), steps=WARM_UP)
    assert min(vars(speeds).values()) > 0


def test_the_table_says_what_part_of_the_step_each_is() -> None:
    table = Speeds(input_per_s=50.0, step_per_s=10.0, plain_sam_per_s=20.0).table()
    assert "| input alone: read, batch, augment | 50.0 | 5.00 x |" in table
    assert "1.1 times the reference" in table
