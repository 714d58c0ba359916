"""Proves again and again that the model still computes what it was trained to: a golden crop through the real queue.

A process that answers health checks while its model hangs, or gives wrong numbers, is worse than one that is down.
"""

from __future__ import annotations

import asyncio
import logging
import time

import numpy as np

from serve.errors import Overloaded
from serve.inference.engine import Engine
from serve.observability.request_context import Trace

log = logging.getLogger(__name__)


class Watchdog:
    """Probes an engine; `trouble` is what was wrong at the last probe, or None."""

    def __init__(self, engine: Engine, patience_s: float) -> None:
        self._engine, self._patience_s = engine, patience_s
        self.trouble: str | None = None

    async def tick(self) -> None:
        """Probe once; says in the log when trouble begins and ends."""
        before, self.trouble = self.trouble, await self.probe()
        if self.trouble is not None and before is None:
            log.error("not ready: %s", self.trouble)
        elif before is not None and self.trouble is None:
            log.warning("ready again: the golden probe passes")

    async def probe(self) -> str | None:
        """Encode one golden crop in the queue of the requests; what is wrong with the outcome, or None.

        Load is not wrongness: where a full or long queue keeps the probe from its turn, what was found before stands.
        A run that does not end is no load: the batcher refuses the next probe for it (RuntimeStalled).
        """
        golden = self._engine.golden
        trace = Trace("watchdog", time.monotonic() + self._patience_s)
        try:
            async with asyncio.timeout(self._patience_s):
                (encoded,) = await self._engine.encode(trace, [golden.crop])
        except (Overloaded, TimeoutError):
            return self.trouble
        except Exception as error:
            return f"a golden crop cannot be encoded: {error}"
        cosine = float(np.dot(encoded.embedding, golden.embedding))
        if not cosine >= golden.cosine_min:
            return f"a golden crop was encoded wrongly: cosine {cosine:.4f}, at least {golden.cosine_min} is needed"
        return None
