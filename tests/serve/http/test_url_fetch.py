"""Pictures behind URLs: only from hosts that were allowed, never from an address that is not public."""

import asyncio
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from serve.errors import BadRequest
from serve.http.url_fetch import Fetcher, is_public
from serve.settings import Settings
from tests.serve.conftest import png


class Pictures(BaseHTTPRequestHandler):
    """A host with a picture, a redirect, a loop, a large file and an error."""

    def do_GET(self):
        moved = {
            "/moved": "/ear.png",
            "/away": "http://elsewhere.test/ear.png",
            "/inside": "http://127.0.0.1/x",
            "/loop": "/loop",
            "/broken": "http://[",
            "/odd": "/\xe4.png",
        }
        if self.path in moved:
            self.send_response(302)
            self.send_header("Location", moved[self.path])
            body = b""
        else:
            self.send_response(200 if self.path in ("/ear.png", "/large") else 404)
            body = png(1) if self.path == "/ear.png" else b"x" * 300_000
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def host():
    with ThreadingHTTPServer(("127.0.0.1", 0), Pictures) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"ears.test:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def fetch(url, addresses=("127.0.0.1",), **settings):
    async def resolve(name, port):
        if not addresses:
            raise OSError("no such name")
        return list(addresses)

    async def story():
        fetcher = Fetcher(Settings(bundle="x", max_image_bytes=200_000, **settings), resolve)
        try:
            return await fetcher.fetch(url)
        finally:
            await fetcher.close()

    return asyncio.run(story())


def test_no_url_is_fetched_unless_hosts_are_allowed(host):
    with pytest.raises(BadRequest, match="fetches none"):
        fetch(f"http://{host}/ear.png")


def test_an_allowed_host_is_fetched_from_and_its_redirects_followed(host):
    for path in ("/ear.png", "/moved"):
        assert fetch(f"http://{host}{path}", url_hosts=host, url_private=True) == png(1)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/away", "'elsewhere.test' is not among"),
        ("/inside", "'127.0.0.1' is not among"),
        ("/loop", "redirects more than"),
        ("/large", "more than 200000 bytes"),
        ("/nothing", "answered 404"),
        ("/broken", "which is no URL"),
        ("/odd", "percent-encode"),
        ("/\xe4.png", "percent-encode"),
    ],
)
def test_what_an_allowed_host_may_not_do(host, path, words):
    with pytest.raises(BadRequest, match=words):
        fetch(f"http://{host}{path}", url_hosts=host, url_private=True)


@pytest.mark.parametrize(
    "url",
    ["http://other.test/x", "ftp://ears.test/x", "http://a:b@ears.test/x", "http://ears.test:99/x", "http://[::/x"],
)
def test_other_hosts_schemes_ports_and_credentials_are_refused(url):
    with pytest.raises(BadRequest):
        fetch(url, url_hosts="ears.test", url_private=True)


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["93.184.215.14", "10.0.0.1"]])
def test_an_allowed_name_that_means_a_private_address_is_refused(host, addresses):
    with pytest.raises(BadRequest, match="not a public address"):
        fetch(f"http://{host}/ear.png", addresses, url_hosts=host)


def test_a_name_that_is_none_and_a_host_that_is_down_are_told(host):
    with pytest.raises(BadRequest, match="cannot be fetched"):
        fetch(f"http://{host}/ear.png", [], url_hosts=host, url_private=True)
    with pytest.raises(BadRequest, match="cannot be fetched"):
        fetch("http://down.test:1/x", url_hosts="down.test:1", url_private=True)


def test_which_addresses_are_public():
    assert is_public("93.184.215.14")
    assert is_public("2606:2800:21f:cb07:6820:80da:af6b:8b2c")
    private = (
        "127.0.0.1 10.1.2.3 172.16.0.1 192.168.1.1 169.254.169.254 0.0.0.0 224.0.0.1 255.255.255.255 100.64.0.1 ::1 :: "
        "fe80::1 fe80::1%eth0 fc00::1 ff02::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 64:ff9b::7f00:1 2002:7f00:1::"
    )
    assert [address for address in private.split() if is_public(address)] == []
