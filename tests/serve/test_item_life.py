"""Items of the gallery over HTTP: their life, their pages, their side, their crops."""

import io

import pytest
from PIL import Image

from tests.serve.conftest import ear, encoded, enrol, png


def test_an_item_has_a_life_from_enrolment_to_deletion(client):
    item = enrol(client, 1, subject="anna", side="right", tags="x, y", source="camera 3", box="10,10,100,120")
    assert item["tags"] == ["x", "y"]
    assert (item["subject"], item["side"], item["source"]) == ("anna", "right", "camera 3")
    got = client.get(f"/v1/gallery/items/{item['id']}").json()
    assert got == item
    image = client.get(item["image_url"])
    assert image.headers["content-type"] == "image/png"
    Image.open(io.BytesIO(image.content)).verify()
    changed = client.patch(f"/v1/gallery/items/{item['id']}", json={"subject": "berta", "tags": ["z"]}).json()
    assert (changed["subject"], changed["tags"], changed["source"]) == ("berta", ["z"], "camera 3")
    assert client.delete(f"/v1/gallery/items/{item['id']}").status_code == 204
    assert client.get(f"/v1/gallery/items/{item['id']}").status_code == 404
    assert client.delete(f"/v1/gallery/items/{item['id']}").status_code == 404


def test_enrolment_answers_201_and_where(client):
    answer = client.post("/v1/gallery/items", files={"file": png()}, data={"tags": ["a", "b,c", "a"]})
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/v1/gallery/items/{answer.json()['id']}"
    assert answer.json()["tags"] == ["a", "b", "c"]


def test_correcting_a_side_embeds_the_ear_anew(client):
    item = enrol(client, 1, side="left")
    changed = client.patch(f"/v1/gallery/items/{item['id']}", json={"side": "right"}).json()
    assert changed["side"] == "right"
    hits = client.post("/v1/search?side=right", content=png(1)).json()["hits"]
    assert hits[0]["similarity"] == pytest.approx(1.0, abs=1e-4)


def test_a_list_is_paged_filtered_and_counted(client):
    for seed in range(5):
        enrol(client, seed, subject="even" if seed % 2 == 0 else "odd", side="left" if seed < 2 else "unknown")
    first = client.get("/v1/gallery/items?limit=3").json()
    second = client.get(f"/v1/gallery/items?limit=3&cursor={first['next_cursor']}").json()
    assert (len(first["items"]), len(second["items"]), second["next_cursor"]) == (3, 2, None)
    assert first["total"] == 5
    assert client.get("/v1/gallery/items?subject=odd").json()["total"] == 2
    assert client.get("/v1/gallery/items?side=unknown").json()["total"] == 3


def test_deleting_a_subject_deletes_all_of_it(client):
    for seed in range(3):
        enrol(client, seed, subject="anna/berta")
    enrol(client, 9, subject="carla")
    assert client.delete("/v1/gallery/subjects/anna%2Fberta").json() == {"deleted": 3}
    assert client.get("/v1/gallery/items").json()["total"] == 1


def test_stored_crops_carry_no_metadata(client):
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    data = encoded(ear(1), "JPEG", exif=exif.tobytes())
    assert b"taken at home" in data
    stored = client.get(enrol(client, 1, data=data)["image_url"]).content
    assert b"taken at home" not in stored
