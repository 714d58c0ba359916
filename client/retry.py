"""How a call of the service is made, and made again: shared by the blocking and the asynchronous client."""

from __future__ import annotations

import ipaddress
import random
from typing import Any, TypeVar

import httpx

from client.errors import Unavailable, error_of
from client.request import Call

ResultT = TypeVar("ResultT")
Outcome = httpx.Response | httpx.TransportError
LOCAL = "http://127.0.0.1:8350"
RETRIED = (429, 503)
LONGEST_PAUSE_S = 20.0


class Policy:
    """Where the service is, and when a call is made again: busy, starting, or a broken connection of a safe call."""

    def __init__(self, url: str, api_key: str | None, timeout_s: float, retries: int) -> None:
        self.options: dict[str, Any] = {
            "base_url": url.rstrip("/"),
            "headers": {"Authorization": f"Bearer {api_key}"} if api_key else {},
            "timeout": timeout_s,
            "trust_env": not is_loopback(url),  # no proxy of the environment leads to this machine
        }
        self.url, self.timeout_s, self.retries = url, timeout_s, retries

    def request_of(self, call: Call[Any]) -> dict[str, Any]:
        """The arguments of httpx's `request`."""
        request = {"method": call.operation.method, "url": call.path, "params": call.params, **call.body}
        return request | ({"timeout": httpx.Timeout(self.timeout_s, read=None)} if call.operation.takes_long else {})

    def pause_s(self, call: Call[Any], answer: Outcome, tried: int) -> float | None:
        """Seconds to wait before the call is made again; None: its outcome stands."""
        if tried >= self.retries:
            return None
        if isinstance(answer, httpx.TransportError):
            never_sent = isinstance(answer, httpx.ConnectError)
            return _growing(tried) if call.operation.is_safe or never_sent else None
        if answer.status_code not in RETRIED or call.any_status:
            return None
        asked = answer.headers.get("retry-after", "")
        return min(LONGEST_PAUSE_S, float(asked)) if asked.isdigit() else _growing(tried)

    def read(self, call: Call[ResultT], answer: Outcome) -> ResultT:
        """The result of a call, or its CallError."""
        if isinstance(answer, httpx.TransportError):
            raise Unavailable(f"{self.url} cannot be reached: {answer or type(answer).__name__}")
        if answer.is_success or call.any_status:
            return call.read(answer)
        try:
            body = answer.json()
        except ValueError:
            body = None
        raise error_of(answer.status_code, body)


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine."""
    host = httpx.URL(url).host
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _growing(tried: int) -> float:
    return float(min(LONGEST_PAUSE_S, 0.2 * 2**tried) * random.uniform(0.5, 1.0))
