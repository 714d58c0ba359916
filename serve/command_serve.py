"""`ear-teacher serve`: a bundle over HTTP, until told to stop."""

from __future__ import annotations

import argparse
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """The flags. What is not given comes from the environment (EAR_TEACHER_…), then from the defaults."""
    parser = argparse.ArgumentParser(
        prog="ear-teacher serve",
        description="Serve a bundle over HTTP. Every flag is also an environment variable: --max-batch is "
        "EAR_TEACHER_MAX_BATCH. More settings than flags: docs/operations.md.",
        argument_default=argparse.SUPPRESS,
    )
    files = parser.add_argument_group("what is served")
    files.add_argument("--bundle", type=Path, metavar="FOLDER", help="the bundle (required)")
    files.add_argument("--gallery", type=Path, metavar="FOLDER", help="the gallery; none: embed and reconstruct only")
    where = parser.add_argument_group("where")
    where.add_argument("--host", help="address to bind to (default 127.0.0.1)")
    where.add_argument("--port", type=int, help="port to bind to (default 8350; 0: any free one)")
    where.add_argument("--grpc-port", type=int, help="also speak the Open Inference Protocol over gRPC on this port")
    where.add_argument("--insecure", action="store_true", help="bind beyond loopback without an API key")
    where.add_argument("--tls-cert", type=Path, metavar="FILE", help="PEM certificate: serve https")
    where.add_argument("--tls-key", type=Path, metavar="FILE", help="PEM private key of the certificate")
    who = parser.add_argument_group("who may ask (one key for all: EAR_TEACHER_API_KEY)")
    who.add_argument(
        "--api-key-file", type=Path, metavar="FILE", help="keys with scopes, made by: ear-teacher keys add"
    )
    who.add_argument("--rate-limit", metavar="RATE", help="most requests of one key or address, such as 600/minute")
    who.add_argument("--allowed-hosts", metavar="NAMES", help="names in Host headers that are answered")
    who.add_argument("--cors-origins", metavar="ORIGINS", help="other web pages that may call this service")
    run = parser.add_argument_group("how it runs")
    run.add_argument("--runtime", choices=["auto", "onnxruntime-cpu", "onnxruntime-cuda", "tensorrt", "tensorrt-rtx"])
    run.add_argument("--precision", choices=["auto", "fp32", "fp16"])
    run.add_argument("--threads", type=int, help="threads of one model run (default: one per core)")
    run.add_argument("--max-batch", type=int, metavar="PICTURES", help="most pictures in one model run (default 16)")
    run.add_argument("--queue-size", type=int, metavar="PICTURES", help="pictures that may wait (default 256)")
    run.add_argument("--neighbours", choices=["auto", "exact", "hnsw", "ivf"], help="how the gallery searches")
    run.add_argument("--recall-target", type=float, metavar="SHARE", help="of approximate neighbours (default 0.97)")
    run.add_argument("--request-timeout-s", type=float, metavar="SECONDS", help="longest a request waits (default 30)")
    run.add_argument("--drain-s", type=float, metavar="SECONDS", help="time to finish on SIGTERM (default 15)")
    run.add_argument("--log-format", choices=["text", "json"], help="style of the log on stderr (default text)")
    return parser


def main(argv: list[str]) -> int:
    """Run the verb; returns when the service has stopped."""
    arguments = vars(parser().parse_args(argv))
    from serve.lifecycle.gallery_store import check_stores
    from serve.server import run
    from serve.settings import read_settings

    settings = read_settings(arguments)
    check_stores(settings)
    settings.check_exposure()
    run(settings)
    return 0
