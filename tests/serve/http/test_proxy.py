"""Behind reverse proxies: prefixes, callers' addresses, pages of other origins, HEAD; and through a real nginx."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
import yaml

from serve.errors import ConfigurationError
from serve.settings import Settings, read_settings
from tests.serve.conftest import enrol, live_server, png, until

ROOT = Path(__file__).parents[3]
PATHS = (
    "/",
    "/page/app.js",
    "/docs",
    "/docs-files/swagger-ui.css",
    "/openapi.json",
    "/health/live",
    "/v1/models",
    "/v2",
)


@pytest.mark.parametrize("prefix", ["", "/ears"])
def test_a_prefix_may_be_stripped_by_the_proxy_or_not(serve, prefix):
    with serve(root_path="/ears") as client:
        for path in PATHS:
            assert client.get(prefix + path).status_code == 200, path
        policy = client.get(f"{prefix}/page/app.js").headers["Content-Security-Policy"]
        assert policy == client.get(f"{prefix}/").headers["Content-Security-Policy"]
        assert "script-src" in client.get(f"{prefix}/docs").headers["Content-Security-Policy"]
        assert "/ears/openapi.json" in client.get(f"{prefix}/docs").text
        assert client.get(f"{prefix}/openapi.json").json()["servers"] == [{"url": "/ears"}]
        made = client.post(f"{prefix}/v1/gallery/items", files={"file": png(1)})
        assert made.headers["Location"] == f"/ears/v1/gallery/items/{made.json()['id']}"
        assert client.get(made.json()["image_url"]).status_code == 200
        assert client.get(f"{prefix}/v2/nothing").json() == {"error": "Not Found"}


def test_the_prefix_and_address_that_a_trusted_proxy_names_are_believed(serve):
    headers = {"X-Forwarded-Prefix": "/p", "X-Forwarded-For": "203.0.113.7"}
    with serve(trusted_proxies=("127.0.0.0/8",), rate_limit="2/minute") as client:
        client._transport.client = ("127.0.0.1", 50000)
        made = client.post("/v1/gallery/items", files={"file": png(1)}, headers=headers)
        assert made.headers["Location"].startswith("/p/v1/")
        statuses = [client.get("/v1/models", headers=headers).status_code for _ in range(2)]
        assert statuses == [200, 429]
        assert client.get("/v1/models", headers={"X-Forwarded-For": "203.0.113.8"}).status_code == 200
        client._transport.client = ("198.51.100.1", 50000)  # of nobody's proxy
        assert enrol(client, 2)["image_url"].startswith("/v1/")
        for other in ("203.0.113.9", "203.0.113.10"):
            last = client.get("/v1/models", headers={"X-Forwarded-For": other}).status_code
        assert last == 429


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("trusted_proxies", "proxy.example"),
        ("trusted_proxies", "*"),
        ("root_path", "ears"),
        ("cors_origins", "a.example"),
    ],
)
def test_a_setting_that_could_never_match_is_an_error_at_start(tmp_path, name, value):
    with pytest.raises(ConfigurationError, match=name.replace("_", "-")):
        read_settings({"bundle": tmp_path, name: value})


@pytest.mark.parametrize("origins", ["*", "https://ears.example"])
def test_pages_of_allowed_origins_may_post_and_read_the_headers(serve, origins):
    with serve(cors_origins=(origins,)) as client:
        origin = {"Origin": "https://ears.example"}
        asked = {**origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}
        assert client.options("/v1/embed", headers=asked).status_code == 200
        answer = client.post("/v1/embed", content=png(), headers=origin)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Access-Control-Allow-Origin"] in ("*", "https://ears.example")
        exposed = answer.headers["Access-Control-Expose-Headers"]
        assert {"Retry-After", "X-Request-Id", "X-Ear-Space-Id"} <= set(exposed.split(", "))


def test_head_is_answered_wherever_get_is(live):
    with httpx.Client(base_url=live) as client:
        for path in PATHS:
            got, head = client.get(path), client.head(path)
            assert (head.status_code, head.content) == (got.status_code, b""), path
            assert head.headers["content-type"] == got.headers["content-type"]
        assert client.head("/v1/embed").status_code == 405


@pytest.fixture
def nginx(tmp_path):
    """start(configuration) of a real nginx, which ends with the test."""
    binary = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    if binary is None:
        message = "nginx is not installed: apt-get install nginx-light"
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)
    started = []

    def start(server):
        (tmp_path / "logs").mkdir()
        user = "user root;" if os.getuid() == 0 else ""  # its workers write into this folder
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temp = "".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in kinds)
        main = f"{user} pid {tmp_path}/pid; daemon off; error_log stderr; events {{}}"
        text = f"{main} http {{ access_log off; {temp} {server} }}"
        (tmp_path / "nginx.conf").write_text(text)
        process = subprocess.Popen(
            [binary, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")], stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.terminate()
        process.communicate(timeout=20)


def of_documentation(upstream, socket):
    """The page's own nginx example, on another address and without TLS."""
    page = (ROOT / "docs" / "reverse-proxy.md").read_text()
    (server,) = re.findall(r"^```nginx\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    server = re.sub(r" *(listen 443|ssl_certificate).*\n", "", server)
    server = server.replace("server_name", f"listen unix:{socket};\n    server_name")
    assert "http://127.0.0.1:8350" in server
    return server.replace("http://127.0.0.1:8350", upstream)


def test_the_example_for_traefik_is_whole():
    """Its structure only: no Traefik is at hand to run it."""
    page = (ROOT / "docs" / "reverse-proxy.md").read_text()
    (text,) = re.findall(r"^```yaml\n(labels:.*?)^```$", page, re.MULTILINE | re.DOTALL)
    labels = yaml.safe_load(text)["labels"]
    assert all(isinstance(value, str) for value in labels.values()), "Docker takes no other labels"
    assert all(name.startswith("traefik.http.") for name in labels)
    (rule,) = [value for name, value in labels.items() if name.endswith(".rule")]
    host, prefix = re.fullmatch(r"Host\(`([a-z.]+)`\) && PathPrefix\(`(/[a-z]+)`\)", rule).groups()
    assert host == "ears.example"
    router = next(name for name in labels if name.endswith(".rule")).removesuffix(".rule")
    middleware = labels[f"{router}.middlewares"]
    assert labels[f"traefik.http.middlewares.{middleware}.stripprefix.prefixes"] == prefix
    (port,) = [value for name, value in labels.items() if name.endswith(".loadbalancer.server.port")]
    assert int(port) == Settings.model_fields["port"].default


def test_the_page_the_api_and_the_limits_work_through_nginx_under_a_prefix(nginx, bundle_folder, tmp_path):
    settings = Settings(
        bundle=bundle_folder,
        gallery=tmp_path / "gallery",
        threads=1,
        root_path="/ears",
        trusted_proxies=("127.0.0.1",),
        allowed_hosts=("ears.example",),
        rate_limit="40/minute",
    )
    socket = tmp_path / "nginx.sock"
    with live_server(settings) as address:
        process = nginx(of_documentation(address, socket))
        until(lambda: socket.exists() or process.poll() is not None)
        assert process.poll() is None, process.communicate()[1]
        with httpx.Client(base_url="http://ears.example", transport=httpx.HTTPTransport(uds=str(socket))) as client:
            html = client.get("/ears/").text
            for asset in re.findall(r'(?:src|href)="([^"#:]+)"', html):
                assert client.get(f"/ears/{asset}").status_code == 200, asset
            for path in PATHS:
                assert client.get(f"/ears{path}").status_code == 200, path
            origin = {"Origin": "http://ears.example"}
            made = client.post("/ears/v1/gallery/items", files={"file": png(1)}, headers=origin)
            assert made.status_code == 201, made.text
            assert client.get(made.headers["Location"]).json()["id"] == made.json()["id"]
            large = client.post("/ears/v1/embed", content=bytes(5 << 20))
            assert large.json()["error"]["code"] == "invalid_image", "nginx alone refuses bodies above 1 MB"
            assert client.head("/ears/health/ready").status_code == 200
