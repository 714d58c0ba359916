"""The Python client, waiting and awaited, against a live service; and when it asks again."""

import asyncio
import inspect
import io

import httpx
import numpy as np
import pytest
from PIL import Image

from client.async_client import AsyncEarTeacher
from client.client import EarTeacher
from client.errors import Busy, CallError, Conflict, Missing, NotAllowed, Refused, SpaceConflict, Unavailable
from tests.serve.conftest import ear, encoded, png, write_source
from tests.serve.test_landmarks import photo
from tests.serve.tiny_bundle import CALIBRATED_ON


@pytest.fixture
def ears(live):
    with EarTeacher(live) as client:
        yield client


def test_an_ear_is_enrolled_found_changed_and_deleted(ears):
    item = ears.enrol(
        png(101), subject="client-anna", side="left", tags=["a", "b"], source="test", box=(5, 5, 120, 150)
    )
    assert (item.subject, item.tags, item.side) == ("client-anna", ["a", "b"], "left")
    hit = ears.search(png(101), side="left", box=(5, 5, 120, 150), k=1, subject=["client-anna"]).hits[0]
    assert (hit.item_id, round(hit.similarity, 3)) == (item.id, 1.0)
    assert ears.change(item.id, tags=["c"], source=None).source is None
    assert ears.item(item.id).tags == ["c"]
    assert Image.open(io.BytesIO(ears.image(item.id))).size[0] > 10
    assert [one.id for one in ears.all_items(subject=["client-anna"])] == [item.id]
    assert ears.delete_subject("client-anna") == 1
    with pytest.raises(Missing):
        ears.delete(item.id)


@pytest.mark.parametrize("form", ["bytes", "path", "string", "file", "pixels"])
def test_a_picture_may_come_in_any_form(ears, tmp_path, form):
    path = tmp_path / "ear.png"
    path.write_bytes(png(1))
    forms = {"bytes": png(1), "path": path, "string": str(path), "file": io.BytesIO(png(1)), "pixels": ear(1)}
    got = ears.embed(forms[form], include=["mu", "quality"])
    assert got.embedding.shape == got.mu.shape == (1024,)
    assert got.quality.psnr_db > 10


def test_many_pictures_go_in_one_request(ears):
    together = ears.embed_many([png(1), png(2)], side="right")
    np.testing.assert_allclose(together[1], ears.embed(png(2), side="right").embedding, atol=1e-5)


def test_the_other_calls_answer_too(ears):
    item = ears.enrol(png(102), side="left")
    got = ears.embed(png(103), side="left", include=["mu"])
    assert ears.search_vector(embedding=got.embedding, space_id=got.space_id, side="left", k=1).hits
    assert ears.verify(png(1), png(1), side_a="left", side_b="left", threshold=0.9).same
    verdict = ears.verify(png(1), png(1), side_a="left", side_b="left")
    assert (verdict.same, verdict.calibrated_on) == (None, CALIBRATED_ON)
    assert ears.calibrations() == []
    with pytest.raises(Conflict, match="at least 20 are needed"):
        ears.calibrate()
    assert Image.open(io.BytesIO(ears.reconstruct(png(1)).image)).size == (128, 128)
    assert Image.open(io.BytesIO(ears.decode([got.mu, got.mu]))).size == (256, 128)
    assert Image.open(io.BytesIO(ears.decode(eigenears=[1.0]))).size == (128, 128)
    assert len(ears.explain(png(103), item.id, steps=3).morph) == 3
    assert ears.models()[0].space_id == got.space_id
    assert ears.ready().status == "ready"


@pytest.fixture
def finder(finding_live):
    with EarTeacher(finding_live) as client:
        yield client


def test_ears_are_found_in_a_photo_and_embedded(finder):
    found = finder.landmarks(encoded(photo()))
    assert (found.width, found.height) == (320, 240)
    assert found.ears[0].box == pytest.approx([100, 20, 220, 220])
    assert found.ears[0].landmarks[0].name == "top"
    assert len(finder.landmarks(encoded(photo()), threshold=0.01).ears) == 2
    got = finder.embed(encoded(photo()), detect=True, include=["eigenears"])
    assert (got.side, got.box, len(got.eigenears) > 0) == ("right", found.ears[0].box, True)
    assert got.score == pytest.approx(found.ears[0].score, abs=1e-4)


def test_persons_are_found_by_picture_and_by_vector(ears):
    for seed in (111, 112):
        ears.enrol(png(seed), subject="client-carla", side="left")
    asked = {"side": "left", "k": 1, "per_subject": 2, "subject": ["client-carla"], "group": "subject"}
    (person,) = ears.search(png(111), **asked).subjects
    got = ears.embed(png(111), side="left")
    (again,) = ears.search_vector(embedding=got.embedding, space_id=got.space_id, **asked).subjects
    assert (person.rank, person.subject, len(person.hits)) == (1, "client-carla", 2)
    assert [hit.item_id for hit in again.hits] == [hit.item_id for hit in person.hits]
    both = ears.search_vectors(
        embeddings=[got.embedding, -got.embedding], space_id=got.space_id, threshold=0.5, **asked
    )
    assert [len(found.subjects) for found in both] == [1, 0]
    assert both[0].subjects[0].hits == again.hits[:1]  # the other ear of theirs is less alike
    ears.delete_subject("client-carla")


def test_several_vectors_go_in_one_request(ears):
    for seed in (113, 114):
        ears.enrol(png(seed), subject=f"client-{seed}", side="left")
    space_id = ears.embed(png(113)).space_id
    vectors = ears.embed_many([png(114), png(113)], side="left")
    found = ears.search_vectors(embeddings=vectors, space_id=space_id, side="left", k=1)
    assert [one.hits[0].subject for one in found] == ["client-114", "client-113"]
    for seed in (113, 114):
        ears.delete_subject(f"client-{seed}")


def test_boxes_say_which_ears_are_verified(ears):
    box, left = (10, 10, 100, 120), {"side_a": "left", "side_b": "left"}
    cut = ears.verify(png(1), png(1), **left, box_a=box, box_b=box)
    assert cut.similarity == pytest.approx(1.0, abs=1e-5)
    assert ears.verify(png(1), png(1), **left, box_a=box).similarity < cut.similarity


def test_a_source_is_imported_followed_and_exported(finder, tmp_path):
    begun = finder.import_source(write_source(tmp_path / "ears"))
    *_, told = finder.follow_import(begun.id, every_s=0.05)
    assert (told.state, told.enrolled, told.failed, told.complete) == ("done", 4, 1, True)
    assert told.failures[0].startswith("3.png: ")
    assert finder.import_state(begun.id) == finder.imports()[-1] == told
    copy = finder.export_gallery(tmp_path / "copy", kind="backup")
    assert copy.items == finder.items().total
    assert (tmp_path / "copy").is_dir()
    with pytest.raises(Refused, match="new folder"):
        finder.export_gallery(tmp_path / "copy")
    with pytest.raises(Missing):
        next(finder.follow_import("im_0"))


def test_an_ear_enrolled_twice_is_told_and_drift_says_that_it_saw_too_few(finder):
    items = [finder.enrol(png(121), subject="client-dora", side="left") for _ in range(2)]
    pairs = {(pair.earlier.id, pair.later.id): pair for pair in finder.all_duplicates(threshold=0.9999)}
    assert pairs[items[0].id, items[1].id].same_picture
    assert finder.duplicates(limit=1).looked_at == 1
    finder.delete_subject("client-dora")
    told = finder.drift(redraw=0)
    assert told.nearest_recent is None
    assert "Too few" in told.advice[0]


def test_one_model_and_the_metrics_are_told(ears):
    (told,) = ears.models()
    assert ears.model(told.id).space_id == told.space_id
    assert "# HELP" in ears.metrics()


def test_a_conflict_that_is_not_of_spaces_is_another_exception(monkeypatch):
    told = {"error": {"message": "import im_1 is running", "code": "import_running"}}
    ears, _, _ = scripted(monkeypatch, httpx.Response(409, json=told))
    with pytest.raises(Conflict, match="is running") as refused:
        ears.import_source("/ears")
    assert not isinstance(refused.value, SpaceConflict)


def test_refusals_are_exceptions_with_the_services_words(ears):
    with pytest.raises(Refused, match="not a picture") as refused:
        ears.embed(b"no picture at all")
    assert (refused.value.status, refused.value.code) == (400, "invalid_image")
    with pytest.raises(SpaceConflict):
        ears.search_vector(embedding=np.ones(1024, np.float32), space_id="sp_other")
    with pytest.raises(FileNotFoundError):
        ears.embed("/no/such/file.jpg")


def test_both_clients_have_the_same_calls():
    def calls(kind):
        found = inspect.getmembers(kind, inspect.isfunction)
        return {name: list(inspect.signature(one).parameters) for name, one in found if not name.startswith("__")}

    assert calls(EarTeacher) == calls(AsyncEarTeacher)


def test_the_asynchronous_client_answers_many_at_once(live):
    async def story():
        async with AsyncEarTeacher(live) as ears:
            await ears.enrol(png(104), subject="client-berta", side="left")
            await ears.enrol(png(105), subject="client-berta", side="left")
            got = await asyncio.gather(*(ears.embed(png(seed)) for seed in range(6)))
            vectors, space_id = [one.embedding for one in got], got[0].space_id
            assert len(await ears.search_vectors(embeddings=vectors, space_id=space_id)) == 6
            assert len(await ears.search_vectors(embeddings=vectors, space_id=space_id, group="subject")) == 6
            listed = [item.subject async for item in ears.all_items(subject=["client-berta"])]
            return len({one.embedding.tobytes() for one in got}), listed, await ears.delete_subject("client-berta")

    assert asyncio.run(story()) == (6, ["client-berta"] * 2, 2)


def test_the_asynchronous_client_follows_an_import_and_lists_doubles(finding_live, tmp_path):
    async def story():
        async with AsyncEarTeacher(finding_live) as ears:
            begun = await ears.import_source(write_source(tmp_path / "ears"))
            told = [state async for state in ears.follow_import(begun.id, every_s=0.05)]
            twice = [(await ears.enrol(png(131), subject="client-emil", side="left")).id for _ in range(2)]
            pairs = [[pair.earlier.id, pair.later.id] async for pair in ears.all_duplicates(threshold=0.9999)]
            await ears.delete_subject("client-emil")
            return told[-1].complete, told[-1].enrolled + told[-1].known, twice in pairs

    assert asyncio.run(story()) == (True, 4, True)


class Answers(httpx.BaseTransport):
    """Gives prepared answers in turn."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), 0

    def handle_request(self, request):
        self.asked += 1
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


BODY = {"embedding": [1.0] * 4, "side": "left", "space_id": "s", "bundle_id": "b", "timing_ms": {}, "news": 1}


def scripted(monkeypatch, *answers, retries=5):
    pauses = []
    monkeypatch.setattr("client.connection.time.sleep", pauses.append)
    transport = Answers(*answers)
    return EarTeacher("http://127.0.0.1:1", retries=retries, transport=transport), transport, pauses


def test_a_busy_service_is_asked_again_when_it_says(monkeypatch):
    ok = httpx.Response(200, json=BODY)
    ears, transport, pauses = scripted(
        monkeypatch, httpx.Response(429, headers={"Retry-After": "3"}), httpx.Response(503), ok
    )
    assert ears.embed(b"x").side == "left"
    assert transport.asked == 3
    assert pauses[0] == 3
    assert 0 < pauses[1] < 1


def test_patience_ends(monkeypatch):
    ears, _, _ = scripted(monkeypatch, *[httpx.Response(429)] * 3, retries=2)
    with pytest.raises(Busy):
        ears.embed(b"x")


def test_a_broken_connection_is_mended_only_where_that_is_safe(monkeypatch):
    broken = httpx.ReadError("broken")
    ears, _, _ = scripted(monkeypatch, broken, httpx.Response(200, json=BODY))
    assert ears.embed(b"x").side == "left"
    ears, transport, _ = scripted(monkeypatch, broken, httpx.Response(200, json=BODY))
    with pytest.raises(Unavailable, match="broken"):
        ears.enrol(b"x")
    assert transport.asked == 1


def test_a_service_that_is_not_there_is_unavailable():
    with EarTeacher("http://127.0.0.1:1", retries=0) as ears, pytest.raises(Unavailable, match="cannot be reached"):
        ears.models()


def test_an_answer_of_some_proxy_is_still_an_exception(monkeypatch):
    ears, _, _ = scripted(monkeypatch, httpx.Response(502, text="<html>bad gateway</html>"), retries=0)
    with pytest.raises(CallError) as failed:
        ears.embed(b"x")
    assert failed.value.status == 502


def test_a_key_is_sent(serve):
    with serve(api_key="secret") as client:
        transport = client._transport
        with EarTeacher("http://127.0.0.1", transport=Through(transport)) as ears, pytest.raises(NotAllowed):
            ears.models()
        with EarTeacher("http://127.0.0.1", "secret", transport=Through(transport)) as ears:
            assert ears.models()


class Through(httpx.BaseTransport):
    """Hands requests of the client to the test client of the application."""

    def __init__(self, inner):
        self.inner = inner

    def handle_request(self, request):
        import httpx2

        answer = self.inner.handle_request(
            httpx2.Request(request.method, str(request.url), headers=request.headers.raw)
        )
        return httpx.Response(answer.status_code, headers=answer.headers.raw, content=answer.read())
