"""What the promotion's tests share: the calls that stage, watch and search."""

from tests.serve.conftest import png, until

IDENTITIES = (
    "id",
    "bundle",
    "bundle_id",
    "space_id",
    "from_bundle",
    "from_bundle_id",
    "from_space_id",
    "created",
    "updated",
)


def start(client, bundle):
    answer = client.post("/v1/promotions", json={"bundle": str(bundle)})
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def state(client, promotion):
    return client.get(f"/v1/promotions/{promotion}").json()


def staged(client, bundle):
    promotion = start(client, bundle)
    until(lambda: state(client, promotion)["state"] != "embedding")
    assert state(client, promotion)["state"] == "ready", state(client, promotion)
    return promotion


def post(client, promotion, verb, **body):
    return client.post(f"/v1/promotions/{promotion}/{verb}", json=body or None)


def search(client, seed, **query):
    answer = client.post("/v1/search", content=png(seed), params={"side": "left", **query})
    assert answer.status_code == 200, answer.text
    return answer.json()
