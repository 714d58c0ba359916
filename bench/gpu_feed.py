"""What keeps a GPU busy: batches copied while others are computed, and pictures decoded fast enough.

The parts `overlap` and `decoding` of `bench.gpu_check`; each yields rows (what, figure). And the shipped encoder in
standard operators, which TensorRT takes. Knows neither HTTP nor torch.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from bundle.errors import RuntimeUnavailable
from bundle.framing import Framing
from bundle.golden import golden_crops
from bundle.image import frame, part_for, to_jpeg
from bundle.photo import PictureFile
from bundle.runtimes import candidates, open_session
from common.gpu_faults import driver_fault
from common.machine import usable_cpus

DEMO = Path(__file__).resolve().parents[1] / "demo" / "bundle"
WINDOW_S = 1.0
ENLARGED = 12
"""128 px golden crops by this make pictures of 2.4 megapixels."""


def overlap() -> Iterator[tuple[str, str]]:
    """The shipped encoder with two callers: with one slot, and with two, whose copies and runs overlap."""
    runtimes = [name for name in candidates() if name != "onnxruntime-cpu"]
    if not DEMO.is_dir():
        raise RuntimeUnavailable("demo/bundle did not travel with this tree")
    if not runtimes:
        raise RuntimeUnavailable(driver_fault() or "no runtime for a GPU is installed; docs/export.md has the lines")
    crops = np.resize(golden_crops(), (32, 128, 128, 3))
    with tempfile.TemporaryDirectory() as folder:
        for runtime in runtimes:
            yield from _overlap_rows(standard_encoder(Path(folder)), runtime, crops)


def _overlap_rows(onnx: Path, runtime: str, crops: Any) -> Iterator[tuple[str, str]]:
    base, expected = 0.0, None
    for slots in (1, 2):
        session = open_session(onnx, runtime, slots=slots)
        embeddings = session.run({"image": crops})["embedding"]
        per_s = runs_per_s(lambda run=session.run: run({"image": crops}), 2) * len(crops)  # type: ignore[misc]
        session.close()
        expected, base = (embeddings, per_s) if expected is None else (expected, base)
        worst = float((embeddings * expected).sum(1).min())
        figure = f"{per_s:.0f} pictures/s, {per_s / base:.2f} x one slot, cosine with it {worst:.7f}"
        yield f"{runtime} fp32, batches of {len(crops)}, two callers, slots: {slots}", figure


def standard_encoder(folder: Path, onnx_file: Path = DEMO / "encoder.onnx") -> Path:
    """A copy of the encoder without `com.microsoft`'s MultiHeadAttention, as `export --portable` writes it."""
    import onnx

    model = onnx.load(onnx_file)
    nodes = [plain for node in model.graph.node for plain in (_standard(node) if node.domain else [node])]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, folder / onnx_file.name)
    return folder / onnx_file.name


def _standard(attention: Any) -> list[Any]:
    """softmax(scale q k') v of (B, N, heads * width), in standard operators."""
    from onnx import helper

    given = {entry.name: helper.get_attribute_value(entry) for entry in attention.attribute}
    assert attention.op_type == "MultiHeadAttention", attention.op_type
    assert len(attention.input) == 3, "attention with a bias or a mask"
    own = attention.output[0]
    nodes: list[Any] = []

    def node(kind: str, *inputs: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [f"{own}/{len(nodes)}"], **attributes))
        return str(nodes[-1].output[0])

    split = node("Constant", value_ints=[0, 0, given["num_heads"], -1])
    joined = node("Constant", value_ints=[0, 0, -1])
    scale = node("Constant", value_float=given["scale"])
    orders = ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3])
    q, k, v = (
        node("Transpose", node("Reshape", name, split), perm=order)
        for name, order in zip(attention.input, orders, strict=True)
    )
    weights = node("Softmax", node("Mul", node("MatMul", q, k), scale), axis=-1)
    mixed = node("Transpose", node("MatMul", weights, v), perm=[0, 2, 1, 3])
    return [*nodes, helper.make_node("Reshape", [mixed, joined], [own])]


def decoding() -> Iterator[tuple[str, str]]:
    """JPEG files of 2.4 megapixels to crops, by threads: what feeds a GPU. Needs none."""
    crop = golden_crops()[0]
    file = to_jpeg(np.kron(crop, np.ones((ENLARGED, ENLARGED, 1), np.uint8)), 90)
    framing = Framing()

    def decode() -> None:
        picture = PictureFile(file, alpha_grey=framing.alpha_grey)
        frame(part_for(picture, None, framing), None, framing)

    for threads in sorted({1, max(1, usable_cpus() // 2), usable_cpus(), usable_cpus() + 2}):
        yield f"decoding threads: {threads} on {usable_cpus()} cores", f"{runs_per_s(decode, threads):.0f} pictures/s"


def runs_per_s(run: Callable[[], object], callers: int) -> float:
    """Runs a second of as many threads, each calling again and again for `WINDOW_S`; the first run does not count."""
    run()
    start = time.perf_counter()

    def again(_: int) -> int:
        count = 0
        while time.perf_counter() - start < WINDOW_S:
            run()
            count += 1
        return count

    with ThreadPoolExecutor(callers) as pool:
        return sum(pool.map(again, range(callers))) / (time.perf_counter() - start)
