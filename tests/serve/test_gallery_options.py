"""What enrolling, searching and importing may be told over HTTP: duplicates, persons left out, labels mended."""

from tests.serve.conftest import enrol, png, write_source
from tests.serve.lifecycle.test_bulk_import import until_ended


def test_an_enrolment_that_is_sent_again_can_be_returned_or_rejected(client):
    first = enrol(client, 1, subject="anna", side="left")
    again = client.post("/v1/gallery/items?on_duplicate=return&side=left&subject=berta", content=png(1))
    assert again.status_code == 200, "201 says that something new is there"
    assert (again.json()["id"], again.json()["subject"]) == (first["id"], "anna")
    refused = client.post("/v1/gallery/items?on_duplicate=reject", files={"file": png(1)}, data={"side": "left"})
    assert refused.status_code == 409
    assert refused.json()["error"]["code"] == "duplicate_item"
    assert first["id"] in refused.json()["error"]["message"]
    assert client.get("/v1/gallery/items").json()["total"] == 1
    assert enrol(client, 1, subject="anna", side="left")["id"] != first["id"]
    assert client.post("/v1/gallery/items?on_duplicate=return", content=png(9)).status_code == 201


def test_persons_can_be_left_out_of_a_search(client):
    for seed in range(4):
        enrol(client, seed, subject=f"p{seed}", side="left")
    params = {"side": "left", "exclude_subject": ["p1", "p2"]}
    hits = client.post("/v1/search", content=png(1), params=params).json()["hits"]
    assert {hit["subject"] for hit in hits} == {"p0", "p3"}


def test_labels_are_mended_by_importing_again(client, tmp_path):
    source = write_source(tmp_path / "ears", first=0)
    table = source / "metadata.csv"

    def run(**options):
        answer = client.post("/v1/gallery/imports", json={"source": str(source), **options})
        assert answer.status_code == 202, answer.text
        return until_ended(client, answer.headers["Location"])

    assert run()["enrolled"] == 4
    table.write_text(table.read_text().replace("person 0", "anna"))
    assert run()["updated"] == 0
    told = run(update_labels=True)
    assert (told["state"], told["known"], told["updated"]) == ("done", 4, 2)
    subjects = {item["subject"] for item in client.get("/v1/gallery/items").json()["items"]}
    assert subjects == {"anna", "person 1", "person 2"}
