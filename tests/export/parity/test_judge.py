"""The gate refuses what strays and what cannot be compared. Numbers only: nothing is exported here."""

from dataclasses import replace

import numpy as np
import pytest

from export.parity.judge import LIMITS, ParityRow, judge_decoder, judge_encoder, neighbour_overlap, relative_error

ROW = ParityRow("encoder", "fp16", "onnxruntime-cpu", 8, 40)
DECODER = ParityRow("decoder", "fp16", "onnxruntime-cpu", 8, 12)
FP16 = LIMITS["fp16"]


@pytest.fixture
def reference():
    rng = np.random.default_rng(1)
    mu = rng.normal(size=(40, 24)).astype(np.float32)
    logvar = rng.normal(size=(40, 24)).astype(np.float32)
    return {"embedding": mu / np.linalg.norm(mu, axis=1, keepdims=True), "mu": mu, "logvar": logvar}


def moved(reference, **noise):
    """A copy with Gaussian noise of the given size on each named output."""
    rng = np.random.default_rng(2)
    return {
        name: (values + rng.normal(size=values.shape) * noise.get(name, 0)).astype(np.float32)
        for name, values in reference.items()
    }


def test_equal_outputs_pass_with_perfect_figures(reference):
    row = judge_encoder(ROW, reference, reference, FP16)
    assert row.passed
    assert (row.relative_error, row.logvar_error, row.neighbour_overlap) == (0.0, 0.0, 1.0)
    assert row.cosine_min == pytest.approx(1.0)
    assert row.rank1_change is None


def test_a_small_error_passes_and_is_told(reference):
    row = judge_encoder(ROW, reference, moved(reference, mu=1e-3), FP16)
    assert row.passed
    assert row.relative_error == pytest.approx(0.001, rel=0.9)


@pytest.mark.parametrize(
    ("noise", "said"),
    [
        ({"embedding": 0.05}, "cosine"),
        ({"mu": 0.05}, "error / distance between pictures"),
        ({"logvar": 0.2}, "logvar error"),
        ({"embedding": 0.3}, "neighbour overlap"),
    ],
)
def test_what_is_past_its_limit_is_refused_by_name(reference, noise, said):
    row = judge_encoder(ROW, reference, moved(reference, **noise), FP16)
    assert not row.passed
    assert any(said in text for text in row.refusals)


def test_an_error_in_mu_alone_is_found(reference):
    """The embedding may forgive what the decoder does not: a scaled mu points the same way."""
    given = reference | {"mu": reference["mu"] * np.float32(1.05)}
    row = judge_encoder(ROW, reference, given, FP16)
    assert row.cosine_min == pytest.approx(1.0)
    assert not row.passed


def test_rows_in_another_order_are_refused(reference):
    given = {name: values[::-1].copy() for name, values in reference.items()}
    assert not judge_encoder(ROW, reference, given, FP16).passed


@pytest.mark.parametrize("broken", ["nan", "inf"])
def test_one_row_that_is_not_finite_is_refused(reference, broken):
    given = {name: values.copy() for name, values in reference.items()}
    given["mu"][3, 5] = float(broken)
    row = judge_encoder(ROW, reference, given, FP16)
    assert row.refusals == ("mu is not finite for 1 of 40 crops",)


def test_an_output_that_does_not_vary_is_refused_though_it_agrees_perfectly(reference):
    flat = {name: np.repeat(values[:1], 40, axis=0) for name, values in reference.items()}
    row = judge_encoder(ROW, flat, flat, FP16)
    assert "embedding does not vary in torch: different crops get the same vector" in row.refusals


def test_a_single_crop_cannot_pass(reference):
    one = {name: values[:1] for name, values in reference.items()}
    assert "one crop cannot show that the output varies" in judge_encoder(ROW, one, one, FP16).refusals[0]


def test_missing_misshapen_and_mistyped_outputs_are_refused(reference):
    assert (
        "no output 'logvar'"
        in judge_encoder(ROW, reference, {k: v for k, v in reference.items() if k != "logvar"}, FP16).refusals[0]
    )
    for wrong in (reference["mu"][:, :-1], reference["mu"].astype(np.float16)):
        row = judge_encoder(ROW, reference, reference | {"mu": wrong}, FP16)
        assert "it must be (40, 24) float32" in row.refusals[0]


def test_a_loss_of_rank_1_is_refused(reference):
    people = [f"p{number // 4}" for number in range(40)]
    centres = np.random.default_rng(3).normal(size=(10, 24)).repeat(4, axis=0)
    given = {name: values.copy() for name, values in reference.items()}
    close = (centres + np.random.default_rng(4).normal(size=centres.shape) * 0.05).astype(np.float32)
    good = reference | {"embedding": close / np.linalg.norm(close, axis=1, keepdims=True)}
    given["embedding"] = reference["embedding"]
    row = judge_encoder(ROW, good, given, FP16, people)
    assert (row.rank1_change or 0) < -0.5
    assert (row.eer_change or 0) > 0.1
    assert any("rank-1" in text for text in row.refusals)
    assert any("EER" in text for text in row.refusals)


def test_identities_with_too_few_pictures_leave_those_figures_out(reference):
    row = judge_encoder(ROW, reference, reference, FP16, [str(n) for n in range(40)])
    assert row.passed
    assert row.rank1_change is None


def test_a_figure_at_its_limit_passes_and_nan_never_does(reference):
    row = judge_encoder(ROW, reference, moved(reference, mu=1e-3), FP16)
    at_limit = replace(FP16, relative_error_max=row.relative_error or 0)
    assert judge_encoder(ROW, reference, moved(reference, mu=1e-3), at_limit).passed
    assert not judge_encoder(ROW, reference, reference, replace(FP16, cosine_min=float("nan"))).passed


def test_decoded_pictures_are_judged_by_their_worst(crops):
    reference = crops[:12]
    given = reference.copy()
    given[5, :8] = 255 - given[5, :8]
    row = judge_decoder(DECODER, reference, given, FP16)
    assert (row.psnr_min_db or 100) < 45
    assert "PSNR" in row.refusals[0]
    assert judge_decoder(DECODER, reference, reference, FP16).psnr_min_db == 100.0


def test_a_decoder_that_gives_one_picture_for_all_is_refused(crops):
    flat = np.repeat(crops[:1], 12, axis=0)
    assert "same picture in torch" in judge_decoder(DECODER, flat, flat, FP16).refusals[0]
    assert "same picture in onnxruntime-cpu" in judge_decoder(DECODER, crops[:12], flat, FP16).refusals[0]


def test_a_decoder_of_the_wrong_type_is_refused(crops):
    row = judge_decoder(DECODER, crops[:12], crops[:12].astype(np.float32), FP16)
    assert "it must be (12, 32, 32, 3) uint8" in row.refusals[0]


def test_relative_error_is_a_share_of_the_distance_between_pictures():
    reference = np.array([[0.0, 0.0], [4.0, 0.0]])
    assert relative_error(reference, reference + [[0.0, 0.1], [0.0, 0.0]]) == pytest.approx(0.1 / 4)


def test_neighbours_are_compared_only_where_there_are_enough():
    vectors = np.random.default_rng(0).normal(size=(3, 8))
    assert neighbour_overlap(vectors, vectors) is None
    assert neighbour_overlap(np.tile(vectors, (4, 1)), np.tile(vectors, (4, 1))) == 1.0


def test_a_row_travels_as_json(reference):
    import json

    values = judge_encoder(ROW, reference, moved(reference, mu=0.05), FP16).to_dict()
    assert json.loads(json.dumps(values))["passed"] is False
