"""One definition of a call: signatures, requests, checks, OpenAPI and flags all follow from it."""

import argparse
import inspect
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Annotated

import pytest

from client import calls, operations
from client.client import EarTeacher
from client.flags import add_flags, options_of
from client.operations import Operation
from client.options import SearchOptions
from client.parameters import Param, parameters_of
from client.request import call_of
from serve.app import create_app
from serve.errors import BadRequest
from serve.http.openapi import documented
from serve.http.parameters import checked
from serve.settings import Settings

ROOT = Path(__file__).parents[2]
OPERATIONS = [value for value in vars(operations).values() if isinstance(value, Operation)]


class MoreOptions(SearchOptions, total=False):
    """A search with one parameter more: this line is all that is written."""

    min_light: Annotated[float, Param("only ears of at least this quality", default=0.0, ge=0, le=1)]


MORE = Operation("POST", "/v1/search", MoreOptions, operations.SEARCH.answer, ("file",))


def test_a_parameter_more_is_sent_checked_documented_and_a_flag():
    sent = call_of(MORE, {"min_light": 0.5, "k": 3}, pictures={"file": b"x"})
    assert sent.params == {"min_light": 0.5, "k": 3}
    read = checked(MoreOptions, {"query": {"min_light": ["0.5"]}})
    assert (read["min_light"], read["k"]) == (0.5, 10)
    assert checked(MoreOptions, {"JSON": {}})["min_light"] == 0.0
    with pytest.raises(BadRequest, match="min_light"):
        checked(MoreOptions, {"form": {"min_light": ["2"]}})
    document = documented(MORE)
    (shown,) = [one for one in document["parameters"] if one["name"] == "min_light"]
    assert (shown["schema"]["maximum"], shown["description"]) == (1, "only ears of at least this quality (default 0.0)")
    for kind in ("application/json", "multipart/form-data"):
        assert "min_light" in document["requestBody"]["content"][kind]["schema"]["properties"]
    parser = argparse.ArgumentParser()
    add_flags(parser, MoreOptions)
    assert options_of(parser.parse_args(["--min-light", "0.5"]), MoreOptions) == {"min_light": 0.5}


def test_every_operation_is_a_route_with_its_parameters():
    paths = create_app(Settings(bundle="x")).openapi()["paths"]
    for operation in OPERATIONS:
        route = paths[operation.path][operation.method.lower()]
        in_query = {one["name"] for one in route.get("parameters", []) if one["in"] == "query"}
        bodies = route.get("requestBody", {}).get("content", {}).values()
        in_body = {name for body in bodies for name in body["schema"].get("properties", {})}
        assert set(parameters_of(operation.options)) <= in_query | in_body, operation.path


def test_every_operation_is_a_call_of_the_client():
    source = inspect.getsource(calls)
    names = [name for name, value in vars(operations).items() if isinstance(value, Operation)]
    assert [name for name in names if f"op.{name}" not in source] == ["LIVE"]
    assert inspect.signature(EarTeacher.search) == inspect.signature(calls.search)
    assert EarTeacher.search.__doc__.startswith("A picture -> the nearest ears")


def test_the_client_needs_httpx_and_numpy_only():
    code = """
        import sys
        room = {"client"}
        allowed = room | {"httpx", "numpy"} | set(sys.stdlib_module_names)
        of_httpx = {"httpcore", "h11", "h2", "anyio", "sniffio", "certifi", "idna", "socksio", "rich", "click",
            "brotli", "brotlicffi", "zstandard", "exceptiongroup", "typing_extensions", "pygments", "trio", "outcome"}
        class Refuse:
            def find_spec(self, name, path=None, target=None):
                top = name.partition(".")[0]
                if top not in allowed | of_httpx:
                    raise ModuleNotFoundError(f"the client imports {name}", name=top)
        sys.meta_path.insert(0, Refuse())
        import client.client, client.async_client, client.command_call
        client.command_call.parser()
        client.client.EarTeacher("http://127.0.0.1:1").close()
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    for address, proxies in (("http://127.0.0.1:8350", 0), ("http://[::1]:1", 0), ("http://ears.example", 1)):
        with EarTeacher(address) as ears:
            assert bool(ears._http._mounts) == bool(proxies), address
