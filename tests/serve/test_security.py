"""Keys with scopes, rates, origins, headers, and what the audit log holds."""

import json
import os
import shutil
import stat

import httpx
import pytest

import ear_teacher
from serve.errors import ConfigurationError
from serve.observability.audit import open_audit
from serve.settings import Settings
from tests.serve.conftest import enrol, png, until


@pytest.fixture
def key_file(tmp_path):
    return tmp_path / "keys.json"


def add(capsys, key_file, name, *flags):
    assert ear_teacher.main(["keys", "add", name, "--file", str(key_file), *flags]) == 0
    return {"Authorization": f"Bearer {capsys.readouterr().out.strip()}"}


def keys(capsys, key_file, *arguments):
    status = ear_teacher.main(["keys", *arguments, "--file", str(key_file)])
    told = capsys.readouterr()
    return status, told.out + told.err


def test_a_key_is_shown_once_and_kept_as_a_hash(capsys, key_file):
    key = add(capsys, key_file, "lab")["Authorization"].split()[1]
    assert key.startswith("ear_")
    assert key not in key_file.read_text()
    assert stat.S_IMODE(os.stat(key_file).st_mode) == 0o600
    status, told = keys(capsys, key_file, "list")
    assert status == 0
    assert told.startswith("lab\tembed,search\tno limit\t")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["add", "lab"], "already"),
        (["add", "a b"], "name"),
        (["add", "x", "--scopes", "fly"], "scopes"),
        (["add", "x", "--rate-limit", "often"], "600/minute"),
        (["remove", "nobody"], "no key 'nobody'"),
    ],
)
def test_mistakes_with_keys_are_one_line(capsys, key_file, arguments, words):
    add(capsys, key_file, "lab")
    status, told = keys(capsys, key_file, *arguments)
    assert status == 2
    assert words in told
    assert len(told.splitlines()) == 1


def test_a_broken_or_missing_key_file_keeps_the_service_from_starting(serve, key_file):
    with pytest.raises(ConfigurationError), serve(api_key_file=key_file):
        pass
    key_file.write_text('{"keys": [{"name": "x"}]}')
    with pytest.raises(ConfigurationError), serve(api_key_file=key_file):
        pass


def test_each_scope_opens_its_routes_and_no_others(serve, capsys, key_file):
    scopes = ("embed", "search", "write", "admin")
    by_scope = {scope: add(capsys, key_file, scope, "--scopes", scope) for scope in scopes}
    with serve(api_key_file=key_file) as client:
        requests = {
            "embed": lambda headers: client.post("/v1/embed", content=png(), headers=headers),
            "search": lambda headers: client.post("/v1/search", content=png(), headers=headers),
            "write": lambda headers: client.post("/v1/gallery/items", files={"file": png()}, headers=headers),
        }
        for needed, ask in requests.items():
            for scope, headers in by_scope.items():
                assert (ask(headers).status_code < 300) == (scope == needed), (needed, scope)
            assert ask({}).status_code == 401
        refused = client.post("/v1/gallery/items", files={"file": png()}, headers=by_scope["embed"])
        assert refused.status_code == 403
        assert "'write'" in refused.json()["error"]["message"]


def test_a_removed_key_stops_working_in_a_running_service(serve, capsys, key_file):
    lab = add(capsys, key_file, "lab")
    with serve(api_key_file=key_file) as client:
        assert client.post("/v1/embed", content=png(), headers=lab).status_code == 200
        assert keys(capsys, key_file, "remove", "lab")[0] == 0
        until(lambda: client.post("/v1/embed", content=png(), headers=lab).status_code == 401)


def test_a_key_that_asks_too_often_is_told_when_to_come_back(serve, capsys, key_file):
    slow, fast = add(capsys, key_file, "slow", "--rate-limit", "2/hour"), add(capsys, key_file, "fast")
    with serve(api_key_file=key_file) as client:
        answers = [client.post("/v1/embed", content=png(), headers=slow) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[2].json()["error"]["code"] == "rate_limited"
        assert int(answers[2].headers["Retry-After"]) >= 1
        assert client.post("/v1/embed", content=png(), headers=fast).status_code == 200


def test_without_keys_the_rate_is_by_address(serve):
    with serve(rate_limit="1/hour") as client:
        assert client.post("/v1/embed", content=png()).status_code == 200
        assert client.post("/v1/embed", content=png()).status_code == 429
        assert client.get("/health/ready").status_code == 200


def test_a_rate_that_is_none_keeps_the_service_from_starting(serve):
    with pytest.raises(ConfigurationError, match="600/minute"), serve(rate_limit="often"):
        pass


def test_another_page_may_change_nothing(client):
    foreign = {"Origin": "https://evil.example"}
    answer = client.post("/v1/gallery/items", files={"file": png()}, headers=foreign)
    assert answer.status_code == 403
    for origin in ("null", "http://[", "http://\N{SUPERSCRIPT TWO}".encode("latin-1")):
        assert client.post("/v1/embed", content=png(), headers={"Origin": origin}).status_code == 403
    own = {"Origin": "http://127.0.0.1"}
    assert client.post("/v1/gallery/items", files={"file": png()}, headers=own).status_code == 201


def test_an_allowed_page_may_and_is_told_so(serve):
    with serve(cors_origins="https://app.example") as client:
        headers = {"Origin": "https://app.example"}
        answer = client.post("/v1/embed", content=png(), headers=headers)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "https://app.example"


def test_a_service_without_keys_answers_only_to_this_machines_names(client):
    for host in ("localhost:8350", "127.0.0.1", "[::1]:8350", "127.0.0.2"):
        assert client.get("/v1/models", headers={"Host": host}).status_code == 200, host
    for host in ("evil.example", "evil.example:8350", "192.0.2.1", "[::2]"):
        answer = client.get("/v1/models", headers={"Host": host})
        assert (answer.status_code, answer.json()["error"]["code"]) == (421, "wrong_host"), host


def test_hosts_may_be_allowed_by_name(serve):
    with serve(allowed_hosts="ears.example, other.example", api_key="k") as client:
        headers = {"X-API-Key": "k"}
        assert client.get("/v1/models", headers={**headers, "Host": "ears.example:443"}).status_code == 200
        assert client.get("/v1/models", headers={**headers, "Host": "evil.example"}).status_code == 421


def test_browsers_are_told_to_run_nothing_foreign_and_caches_to_keep_nothing(client):
    api, page = client.get("/v1/models").headers, client.get("/").headers
    picture = client.get(enrol(client, 1)["image_url"]).headers
    assert api["Cache-Control"] == picture["Cache-Control"] == "no-store"
    assert "default-src 'none'" in api["Content-Security-Policy"]
    assert "default-src 'self'" in page["Content-Security-Policy"]
    assert "unsafe" not in page["Content-Security-Policy"]
    docs = client.get("/docs").headers["Content-Security-Policy"]
    assert "'unsafe-inline'" not in docs.split("script-src")[1].split(";")[0]
    for policy in (page["Content-Security-Policy"], docs):
        assert "frame-ancestors 'none'" in policy
        assert "base-uri 'none'" in policy
    for headers in (api, page):
        assert "Strict-Transport-Security" not in headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "server" not in headers


def audit_lines(client):
    folder = client.app.state.service.settings.gallery
    return [json.loads(line) for line in (folder / "audit.jsonl").read_text().splitlines()]


def test_the_audit_log_tells_who_did_what_without_names_or_pictures(client):
    item = enrol(client, 1, subject="anna", side="left")
    client.post("/v1/search", content=png(1))
    client.get(item["image_url"])
    client.get(f"/v1/gallery/items/{item['id']}")
    client.patch(f"/v1/gallery/items/{item['id']}", json={"tags": ["x"]})
    client.delete("/v1/gallery/subjects/anna")
    lines = audit_lines(client)
    assert [line["action"] for line in lines] == ["enrol", "search", "view", "view", "change", "delete_subject"]
    assert all(line["caller"] == "anonymous" and line["request_id"] and line["time"] for line in lines)
    assert lines[0]["subject"] == lines[-1]["subject"] == client.app.state.service.audit.alias("anna")
    assert lines[1]["found"] == [item["id"]]
    assert "anna" not in json.dumps(lines)


@pytest.mark.parametrize(("host", "told"), [("0.0.0.0", True), ("127.0.0.1", False)])
def test_browsers_are_told_to_stay_with_https_where_that_is_served_to_others(serve, host, told):
    with serve(host=host, api_key="k", tls_cert="cert.pem") as client:
        for path in ("/", "/health/live"):
            assert ("Strict-Transport-Security" in client.get(path).headers) == told


SHARED = {"bundle": "x", "database_url": "postgresql://db/ears", "milvus_uri": "http://milvus:19530"}


def test_audit_lines_of_a_shared_gallery_go_to_the_log_under_one_alias_everywhere(caplog):
    caplog.set_level("INFO", "serve")
    for _ in range(2):
        open_audit(Settings(**SHARED, audit_key="one for all")).note_aside("enrol", subject="anna")
    lines = [json.loads(one.message) for one in caplog.records if one.name == "serve.observability.audit.lines"]
    assert [line["action"] for line in lines] == ["enrol", "enrol"]
    assert lines[0]["subject"] == lines[1]["subject"] != "anna"
    assert "the audit log is here" in caplog.text
    assert "AUDIT_KEY" not in caplog.text
    open_audit(Settings(**SHARED)).note_aside("enrol", subject="anna")
    assert "set EAR_TEACHER_AUDIT_KEY" in caplog.text
    assert "anna" not in caplog.text


def test_audit_lines_of_a_shared_gallery_go_to_the_file_that_is_named(tmp_path):
    given = Settings(**SHARED, audit_log=tmp_path / "lines.jsonl", audit_key="one for all")
    for _ in range(2):
        open_audit(given).note_aside("enrol", subject="anna")
    assert len((tmp_path / "lines.jsonl").read_text().splitlines()) == 2
    open_audit(given.model_copy(update={"audit": False})).note_aside("enrol")
    assert len((tmp_path / "lines.jsonl").read_text().splitlines()) == 2
    with pytest.raises(ConfigurationError, match="nowhere"):
        open_audit(Settings(**SHARED, audit_log=tmp_path / "nowhere" / "lines.jsonl"))


def test_deleting_goes_on_when_the_audit_log_cannot_be_written(client, caplog):
    item = enrol(client, 1)
    path = client.app.state.service.settings.gallery / "audit.jsonl"
    path.unlink()
    path.mkdir()
    assert client.delete(f"/v1/gallery/items/{item['id']}").status_code == 204
    assert "could not be written" in caplog.text
    assert item["id"] in caplog.text


def test_https_is_served_with_a_certificate(bundle_folder, tmp_path):
    import subprocess

    from tests.serve.test_command_serve import serving

    pem = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *pem, *subject]
    if shutil.which("openssl") is None and not os.environ.get("CI"):
        pytest.skip("openssl is absent: install it to test HTTPS")
    subprocess.run(command, check=True, capture_output=True)
    flags = ("--tls-cert", tmp_path / "cert.pem", "--tls-key", tmp_path / "key.pem")
    with serving("--bundle", bundle_folder, *flags) as (_, address, _):
        import ssl

        context = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        assert address.startswith("https://")
        assert httpx.get(f"{address}/health/ready", verify=context).status_code == 200
