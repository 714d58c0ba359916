"""/v1/verify and /v1/calibrations: what a similarity is worth, and by whose calibration a verdict is given."""

import base64

import httpx
import numpy as np
import pytest

from bundle.image import decode, frame
from index.items import NewItem
from measure.calibration import NOT_RECORDED, Calibration, calibrate
from serve.inference.verification import Evidence, judge, of_bundle
from tests.serve.conftest import ear, encoded, mirrored_png, png
from tests.serve.lifecycle.promoting import post, staged, state
from tests.serve.tiny_bundle import write_tiny_bundle

PEOPLE = 20


def noisy_png(seed, noise):
    picture = ear(seed).astype(float) + np.random.default_rng(1000 * seed + noise).normal(0, 4 * noise, ear(seed).shape)
    return encoded(picture.clip(0, 255).astype(np.uint8))


def fill(app, people=PEOPLE):
    """Two pictures of the left ear of each person, enrolled at once."""
    live = app.state.service.active
    named = [(f"p{seed}", noisy_png(seed, noise)) for seed in range(people) for noise in (0, 5)]
    crops = np.stack([frame(decode(picture), None, live.engine.framing) for _, picture in named])
    encoding = live.engine.model.encode(crops)
    live.gallery_pool.gallery.enrol(
        [
            NewItem(crop=picture, mu=mu, embedding=embedding, subject=subject, side="left")
            for (subject, picture), mu, embedding in zip(named, encoding.mu, encoding.embedding, strict=True)
        ]
    )


@pytest.fixture(scope="module")
def _settled(bundle_folder, tmp_path_factory):
    from serve.settings import Settings
    from tests.serve.conftest import live_server

    gallery = tmp_path_factory.mktemp("calibrated") / "gallery"
    with live_server(Settings(bundle=bundle_folder, gallery=gallery, port=0, threads=1)) as address:
        yield address


@pytest.fixture(scope="module")
def calibrated(_settled):
    """A client of a service whose gallery is calibrated on its own people; tests leave the gallery as it is."""
    with httpx.Client(base_url=_settled) as client:
        fill(_settled.app)
        assert client.post("/v1/calibrations").status_code == 201
        yield client


def verify(client, a, b, **query):
    answer = client.post("/v1/verify", files={"a": a, "b": b}, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_one_ear_twice_is_the_same_and_another_is_not(calibrated):
    same = verify(calibrated, png(1), encoded(ear(1), "JPEG"), side_a="left", side_b="left")
    other = verify(calibrated, png(1), png(2), side_a="left", side_b="left")
    assert same["same"] is True
    assert same["reason"] is None
    assert same["similarity"] > 0.99
    assert same["probability"] > 0.9
    assert other["same"] is False
    assert other["probability"] < 0.5
    assert same["far"] == 0.01
    assert same["threshold"] == other["threshold"]


def test_a_stricter_rate_has_a_higher_threshold(calibrated):
    strict, loose = (verify(calibrated, png(1), png(1), far=far)["threshold"] for far in (0.01, 0.1))
    assert strict > loose


def test_a_rate_that_was_not_calibrated_is_refused(calibrated):
    answer = calibrated.post("/v1/verify?far=0.123", files={"a": png(1), "b": png(1)})
    assert answer.status_code == 400
    assert "there are: 0.1" in answer.json()["error"]["message"]


def test_ears_of_unknown_side_are_compared_both_ways_round(client):
    assert verify(client, png(1), mirrored_png(1))["similarity"] > 0.999
    assert verify(client, png(1), mirrored_png(1), side_a="left", side_b="right")["similarity"] > 0.999
    assert verify(client, png(1), mirrored_png(1), side_a="left", side_b="left")["similarity"] < 0.99


@pytest.mark.parametrize("sides", [{}, {"side_a": "left"}, {"side_b": "right"}])
def test_an_unknown_side_gives_chance_two_tries_and_the_answer_says_so(calibrated, sides):
    known = verify(calibrated, png(1), png(2), side_a="left", side_b="left", far=0.01)
    unknown = verify(calibrated, png(1), png(2), far=0.01, **sides)
    assert (known["far"], unknown["far"]) == (0.01, 0.02)
    assert unknown["threshold"] == known["threshold"]


def test_the_stated_rate_of_two_tries_holds_on_pairs_of_different_ears():
    rng = np.random.default_rng(0)
    calibration = calibrate(rng.normal(0.6, 0.1, 2000), rng.normal(0.2, 0.1, 20_000))
    evidence = Evidence(calibration, own=True)
    impostors = rng.normal(0.2, 0.1, (50_000, 2)).max(axis=1)
    genuine = np.maximum(rng.normal(0.6, 0.1, 50_000), rng.normal(0.2, 0.1, 50_000))
    verdict = judge(0.5, evidence, comparisons=2)
    accepted = float((impostors >= verdict.threshold).mean())
    assert 0.01 < accepted <= 1.1 * verdict.far  # beyond the rate of one comparison, within the bound and its sampling
    assert (genuine >= verdict.threshold).mean() >= verdict.tar
    near = [np.abs(scores - 0.5) < 0.01 for scores in (genuine, impostors)]
    truth = near[0].mean() / (near[0].mean() + near[1].mean())
    assert verdict.probability <= truth + 0.01
    assert verdict.probability < judge(0.5, evidence).probability


def test_verify_takes_json(client):
    body = {name: base64.b64encode(png(seed)).decode() for name, seed in (("a", 1), ("b", 1))}
    assert client.post("/v1/verify", json={**body, "threshold": 0.9}).json()["same"] is True
    assert client.post("/v1/verify", json={"a": body["a"]}).status_code == 400
    assert client.post("/v1/verify", json={"a": body["a"], "b": ["x"]}).status_code == 400


def test_without_a_calibration_only_the_similarity_is_told():
    verdict = judge(0.9, None)
    assert (verdict.probability, verdict.same, verdict.calibrated) == (None, None, False)
    assert verdict.reason.startswith(
        "no verdict: there is no calibration of such similarities; calibrate on the gallery's own"
    )


def test_a_bundles_calibration_gives_a_probability_and_no_verdict(client):
    for far in ({}, {"far": 0.001}):
        answer = verify(client, png(1), png(1), side_a="left", side_b="left", **far)
        assert answer["same"] is answer["threshold"] is answer["far"] is answer["tar"] is None
        assert answer["probability"] > 0.9
        assert (answer["calibrated"], answer["calibrated_on"]) == (True, "made-up ears: 50 pictures of 10 people")
        assert "the bundle's calibration was made on made-up ears: 50 pictures of 10 people, not on" in answer["reason"]
        assert (answer["genuine_pairs"], answer["impostor_pairs"]) == (500, 5000)


def test_a_threshold_of_the_callers_own_decides(client, calibrated):
    for service in (client, calibrated):
        high, low = (verify(service, png(1), png(2), threshold=value) for value in (0.999, -0.999))
        assert (high["same"], low["same"]) == (False, True)
        assert (high["threshold"], high["far"], high["reason"]) == (0.999, None, None)
    refused = client.post("/v1/verify?far=0.01&threshold=0.5", files={"a": png(1), "b": png(1)})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "threshold")


def test_an_old_calibration_says_that_its_pictures_are_not_recorded():
    old = calibrate([0.8, 0.9], [0.1, 0.2]).to_dict()
    del old["calibrated_on"]
    assert Calibration.from_dict(old).calibrated_on == NOT_RECORDED
    assert "made on pictures that it does not name" in judge(0.5, of_bundle(old)).reason


def test_the_gallerys_own_calibration_says_what_stands_behind_each_rate(calibrated):
    (kept,) = calibrated.get("/v1/calibrations").json()["calibrations"]
    (model,) = calibrated.get("/v1/models").json()["data"]
    assert model["gallery_calibration"] == kept
    assert model["calibrated_on"] == "made-up ears: 50 pictures of 10 people"
    assert kept["calibrated_on"] == "this gallery: 40 pictures of 20 people"
    assert (kept["subjects"], kept["genuine_pairs"], kept["impostor_pairs"]) == (20, 20, 4 * 190)
    assert [point["far"] for point in kept["points"]] == [0.1, 0.01]
    for point in kept["points"]:
        assert point["false_accepts"] <= point["far"] * kept["impostor_pairs"]
        assert 0 <= point["held_out_far"] < 2.5 * point["far"]
        assert point["held_out_tar"] == pytest.approx(point["tar"], abs=0.1)
    answer = verify(calibrated, png(1), png(2))
    shown = {name: answer[name] for name in ("calibrated_on", "subjects", "genuine_pairs", "impostor_pairs")}
    assert shown == {name: kept[name] for name in shown}
    assert answer["false_accepts"] == kept["points"][1]["false_accepts"]
    assert answer["centred"] is False


def test_too_few_people_are_a_conflict_that_names_how_many(client):
    fill(client.app, 3)
    answer = client.post("/v1/calibrations")
    assert answer.status_code == 409
    assert "3 subjects have two or more different pictures" in answer.json()["error"]["message"]
    assert client.get("/v1/calibrations").json() == {"calibrations": []}


def test_a_centred_calibration_is_used_on_centred_vectors(client):
    fill(client.app)
    plain = verify(client, png(1), png(2), side_a="left", side_b="left")["similarity"]
    assert client.post("/v1/calibrations", json={"centred": True}).json()["centred"] is True
    answer = verify(client, png(1), png(2), side_a="left", side_b="left")
    assert answer["centred"] is True
    assert abs(answer["similarity"] - plain) > 0.01
    assert verify(client, png(1), png(1))["same"] is True


def test_a_promotion_carries_the_calibration_over_by_making_it_anew(client, tmp_path):
    write_tiny_bundle(tmp_path / "new", seed=1, warp=0.3)
    fill(client.app)
    made = client.post("/v1/calibrations", json={"centred": True}).json()
    promotion = staged(client, tmp_path / "new")
    assert not [words for words in state(client, promotion)["objections"] if "calibration" in words]
    assert post(client, promotion, "activate", force=True).status_code == 200
    new, old = client.get("/v1/calibrations").json()["calibrations"]
    assert old == made
    assert (new["centred"], new["subjects"]) == (True, PEOPLE)
    assert new["space_id"] != old["space_id"]
    assert new["points"] != old["points"]
    assert verify(client, png(1), png(1))["same"] is True
    post(client, promotion, "rollback")
    assert client.get("/v1/calibrations").json()["calibrations"][0] == made


def test_a_calibration_that_cannot_be_carried_over_speaks_against_the_promotion(client, tmp_path):
    write_tiny_bundle(tmp_path / "new", seed=1)
    fill(client.app)
    client.post("/v1/calibrations")
    for item in client.get("/v1/gallery/items?subject=p0").json()["items"]:
        client.delete(f"/v1/gallery/items/{item['id']}")
    promotion = staged(client, tmp_path / "new")
    (words,) = (words for words in state(client, promotion)["objections"] if "calibration" in words)
    assert words.startswith("the gallery's calibration is lost (/v1/verify would give no verdict): 19 subjects have")
    assert post(client, promotion, "activate").status_code == 409


def test_calibrating_needs_the_scope_admin_and_is_in_the_audit_log(serve, tmp_path):
    with serve(api_key="k", audit=True) as client:
        fill(client.app)
        client.post("/v1/calibrations", headers={"X-API-Key": "k"})
        assert '"action":"calibrate"' in (tmp_path / "gallery" / "audit.jsonl").read_text()
    assert client.app.openapi()["paths"]["/v1/calibrations"]["post"]["security"]
