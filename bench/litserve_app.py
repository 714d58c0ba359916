"""The same ONNX file and the same decoding behind LitServe, tuned: what bench/serve_load.py compares with.

Run by a Python that has litserve; it is no part of the project's environment. LitServe reads the annotations of
`decode_request`, so they are not postponed here.
"""

import argparse
from typing import Any

import litserve  # type: ignore[import-not-found]
import numpy as np
from fastapi import Response, UploadFile

from bundle.image import decode, frame
from bundle.model import load


class EarApi(litserve.LitAPI):  # type: ignore[misc]  # LitServe is untyped
    """Decode in the server's process, encode in the worker's, batched."""

    bundle = ""
    threads = 0

    def setup(self, device: str) -> None:
        self.model = load(self.bundle, "onnxruntime-cpu", threads=self.threads)

    def decode_request(self, request: UploadFile) -> Any:
        return frame(decode(request.file.read()), None)

    def batch(self, inputs: list[Any]) -> Any:
        return np.stack(inputs)

    def predict(self, crops: Any) -> Any:
        return self.model.encode(crops if crops.ndim == 4 else crops[None]).embedding

    def unbatch(self, output: Any) -> list[Any]:
        return list(output)

    def encode_response(self, output: Any) -> Any:
        import orjson

        document = orjson.dumps({"embedding": np.ravel(output)}, option=orjson.OPT_SERIALIZE_NUMPY)
        return Response(document, media_type="application/json")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--max-batch", type=int, default=16)
    parser.add_argument("--timeout-s", type=float, default=0.002, help="how long a batch waits for company")
    options = parser.parse_args()
    api = EarApi(max_batch_size=options.max_batch, batch_timeout=options.timeout_s)
    api.bundle, api.threads = options.bundle, options.threads  # the worker is another process: no global reaches it
    litserve.LitServer(api, accelerator="cpu", workers_per_device=1, fast_queue=True).run(
        port=options.port, host="127.0.0.1", log_level="error", generate_client_file=False
    )
