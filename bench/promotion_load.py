"""A model replaced while clients search and enrol: failures, wrong answers, and how much slower the slowest became.

    python -m bench.promotion_load --old demo/bundle --new runs/other/bundle --clients 16

Every answer is held to exact search in the space that it names: over ears that were enrolled before, with embeddings
that this process computes itself. The service is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from bench.running import running
from bundle.image import decode, frame
from bundle.model import load

FIXED = "fixed"  # the tag of the ears that answers are held to
K = 5
ENROL_EVERY = 4  # requests of a client: three searches, then an enrolment
TOLERANCE = 1e-3
EARS = Path(__file__).parents[1] / "demo" / "ears" / "crops"


class Exact:
    """What exact search over the fixed ears answers, in either space. `pictures`: files, each its own query."""

    def __init__(self, bundles: Sequence[Path], pictures: Sequence[bytes]) -> None:
        self.cosines: dict[str, NDArray[np.float32]] = {}
        self.ids: list[str] = []
        for bundle in bundles:
            with load(bundle) as model:
                crops = [frame(decode(one), None, model.manifest.framing) for one in pictures]
                parts = [model.encode(np.stack(crops[n : n + 8])).embedding for n in range(0, len(crops), 8)]
                embeddings = np.concatenate(parts)
                self.cosines[model.space_id] = embeddings @ embeddings.T

    def agrees(self, query: int, answer: dict[str, Any]) -> bool:
        """Whether the hits are the K nearest with their similarities; equally near ones may change places."""
        cosines = self.cosines[answer["space_id"]][query]
        hits = answer["hits"]
        similarities = np.array([hit["similarity"] for hit in hits])
        own = np.array([cosines[self.ids.index(hit["item_id"])] for hit in hits])
        best = np.sort(cosines)[::-1][:K]
        return (
            len(hits) == K
            and np.allclose(similarities, own, atol=TOLERANCE)
            and np.allclose(similarities, best, atol=TOLERANCE)
        )


@dataclass
class Heard:
    """What clients saw. `searches`: (phase, space, seconds) of each."""

    searches: list[tuple[str, str, float]] = field(default_factory=list)
    enrolled: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def phases(self) -> list[dict[str, Any]]:
        """Latency by phase, in their order; `p99_rise` against the first."""
        rows: list[dict[str, Any]] = []
        for phase in dict.fromkeys(phase for phase, _, _ in self.searches):
            taken = [1000 * seconds for one, _, seconds in self.searches if one == phase]
            p50, p99 = np.percentile(taken, [50, 99])
            rise = round(p99 / rows[0]["p99_ms"], 2) if rows else 1.0
            rows.append({"phase": phase, "searches": len(taken), "p50_ms": round(p50, 1), "p99_ms": round(p99, 1)})
            rows[-1]["p99_rise"] = rise
        return rows


class Clients:
    """`count` threads that search and enrol until `stop`; `phase` is what is going on."""

    def __init__(self, address: str, pictures: Sequence[bytes], exact: Exact, count: int) -> None:
        self.heard, self.phase = Heard(), "before"
        self._address, self._pictures, self._exact = address, pictures, exact
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(count)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> Heard:
        """Let each end its request."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)
        return self.heard

    def _run(self, number: int) -> None:
        turn = number
        with httpx.Client(base_url=self._address, timeout=60) as client:
            while not self._stopping.is_set():
                query = turn % len(self._pictures)
                try:
                    self._enrol(client, query) if turn % ENROL_EVERY == 0 else self._search(client, query)
                except (httpx.HTTPError, KeyError, ValueError) as error:
                    self.heard.failures.append(f"{self.phase}: {error!r:.300}")
                turn += 1

    def _search(self, client: httpx.Client, query: int) -> None:
        phase, started = self.phase, time.perf_counter()
        params = {"side": "left", "k": str(K), "tag": FIXED}
        answer = client.post("/v1/search", content=self._pictures[query], params=params).raise_for_status().json()
        self.heard.searches.append((phase, answer["space_id"], time.perf_counter() - started))
        if not self._exact.agrees(query, answer):
            self.heard.wrong.append(f"{phase}: query {query}: {answer!r:.500}")

    def _enrol(self, client: httpx.Client, query: int) -> None:
        files = {"file": ("ear", self._pictures[query])}
        answer = client.post("/v1/gallery/items", files=files, data={"side": "left"}).raise_for_status().json()
        self.heard.enrolled.append(answer["id"])


def enrol_fixed(address: str, pictures: Sequence[bytes], exact: Exact) -> None:
    """Enrol the ears that answers are held to."""
    with httpx.Client(base_url=address, timeout=60) as client:
        for one in pictures:
            form = {"side": "left", "tags": FIXED}
            answer = client.post("/v1/gallery/items", files={"file": ("ear", one)}, data=form).raise_for_status()
            exact.ids.append(answer.json()["id"])


def promote_under_load(address: str, bundle: Path, clients: Clients, seconds: float) -> None:
    """Stage, activate, roll back, activate again; each phase lasts at least `seconds`."""
    with httpx.Client(base_url=address, timeout=60) as client:
        time.sleep(seconds)
        clients.phase = "staging"
        promotion = client.post("/v1/promotions", json={"bundle": str(bundle.resolve())}).raise_for_status().json()
        path = f"/v1/promotions/{promotion['id']}"
        while (state := client.get(path).raise_for_status().json())["state"] == "embedding":
            time.sleep(0.1)
        if state["state"] != "ready":
            raise RuntimeError(f"not ready: {state}")
        clients.phase = "staged"
        time.sleep(seconds)
        for phase, verb in (("activated", "activate"), ("rolled back", "rollback"), ("activated again", "activate")):
            client.post(f"{path}/{verb}", json={"force": True} if verb == "activate" else None).raise_for_status()
            clients.phase = phase
            time.sleep(seconds)


def main() -> int:
    """Run it; status 1 where a request failed or an answer was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--old", type=Path, default=Path("demo/bundle"))
    parser.add_argument("--new", type=Path, required=True, help="a bundle of another training")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--ears", type=int, default=64, help="enrolled before, of demo/ears")
    parser.add_argument("--seconds", type=float, default=10.0, help="least length of a phase")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    pictures = [path.read_bytes() for path in sorted(EARS.glob("*.jpg"))[: options.ears]]
    exact = Exact([options.old, options.new], pictures)
    with tempfile.TemporaryDirectory() as gallery, running(options.old, Path(gallery)) as service:
        service.wait("/health/ready")
        address = f"http://127.0.0.1:{service.port}"
        enrol_fixed(address, pictures, exact)
        clients = Clients(address, pictures, exact, options.clients)
        try:
            promote_under_load(address, options.new, clients, options.seconds)
        finally:
            heard = clients.stop()
    facts = {"clients": options.clients, "enrolled": len(heard.enrolled), "phases": heard.phases()}
    facts |= {"failures": heard.failures, "wrong": heard.wrong, "spaces": sorted({one[1] for one in heard.searches})}
    print(json.dumps(facts, indent=1))
    if options.out:
        options.out.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return 1 if heard.failures or heard.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
