"""The site on this machine: nothing but its own folder, and built anew when records change."""

import http.client
import json
import os
import signal
import threading
import time
from types import SimpleNamespace

import pytest

from leaderboard.site import server as module
from leaderboard.site.server import Server, policy, serve
from suite.core.errors import InvalidInput
from tests.support.sample_records import done, make_trial

PAGE = "<!doctype html><title>t</title><script>let a = '1 < 2';</script><p onclick='x()'>page"


@pytest.fixture
def site(tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "site-2").mkdir()
    (tmp_path / "site-2" / "secret.txt").write_text("secret")
    site = tmp_path / "site"
    (site / "empty").mkdir(parents=True)
    (site / "index.html").write_text(PAGE)
    (site / "a.csv").write_text("a,b\n")
    (site / ".manifest.json").write_text("secret")
    (site / "link").symlink_to(tmp_path / "secret.txt")
    (site / "folder").symlink_to(tmp_path)
    (site / "part").mkdir()
    (site / "part" / "index.html").symlink_to(tmp_path / "secret.txt")
    return site


@pytest.fixture
def server(site):
    server = Server(site, 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def ask(server, path, method="GET", host=None):
    """Return status, headers and body of an answer; the path is sent as it stands."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=300)
    connection.request(method, path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, answer.headers, body


def test_the_page_and_its_files_are_served_on_the_loopback_address_alone(server):
    assert server.server_address[0] == "127.0.0.1"
    assert ask(server, "/")[2] == PAGE
    assert ask(server, "/a.csv?x=1#y")[2] == "a,b\n"
    assert ask(server, "/nothing")[0] == 404


@pytest.mark.parametrize("path", [
    "/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/a/../../secret.txt",
    "//../secret.txt", "/link", "/folder/secret.txt", "/folder/", "/../site-2/secret.txt",
    "/.manifest.json", "/empty/", "/part/", "/part/index.html", "/%00", "/" + "a/" * 5000,
])  # fmt: skip
def test_nothing_outside_the_folder_and_no_list_of_it_is_served(server, path):
    status, _, body = ask(server, path)
    assert status in (404, 414)
    assert "secret" not in body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_what_would_change_something_is_not_understood(server, method):
    assert ask(server, "/index.html", method)[0] == 501


def test_another_sites_name_that_leads_here_is_not_answered(server):
    assert ask(server, "/", host="evil.example")[0] == 421
    assert ask(server, "/", host=f"localhost:{server.server_port}")[0] == 200


@pytest.mark.parametrize("path", ["/", "/a.csv", "/nothing"])
def test_every_answer_tells_the_browser_to_run_nothing_foreign(server, path):
    headers = ask(server, path)[1]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "script-src 'self' 'unsafe-eval'" in headers["Content-Security-Policy"]
    assert "Python" not in headers["Server"]


def test_the_policy_names_the_pages_own_scripts_and_no_others(site):
    import base64
    import hashlib

    digest = base64.b64encode(hashlib.sha256(b"let a = '1 < 2';").digest()).decode()
    scripts = next(p for p in policy(site / "index.html").split("; ") if p.startswith("script"))
    assert scripts == f"script-src 'self' 'unsafe-eval' 'sha256-{digest}'"


@pytest.mark.browser
def test_a_browser_runs_the_pages_scripts_and_none_that_was_slipped_in(server, site, chromium):
    """The browser says what it has refused, or a script says that it was run."""
    (site / "index.html").write_text(
        "<!doctype html><html lang=en><title>t</title><body><script>document.title = 'ours';"
        "const said = []; document.addEventListener('securitypolicyviolation', () => said.push(0));"
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"said.push(1)\">');"
        "const s = document.createElement('script'); s.textContent = 'said.push(2)';"
        "document.body.append(s);</script>"
    )
    page = chromium.new_page()
    page.goto(server.url)
    page.wait_for_function("said.length >= 2")
    assert page.title() == "ours"
    assert page.evaluate("said") == [0, 0]
    page.close()


@pytest.mark.parametrize("port", [70_000, -1])
def test_a_port_that_does_not_exist_is_refused(site, port):
    with pytest.raises(InvalidInput, match="--port"):
        Server(site, port)


def test_a_port_that_is_taken_is_refused_before_anything_is_built(resonance, place, store, server):
    store.write(make_trial().key, {"record.json": done(make_trial()).to_json()})
    result = resonance("leaderboard serve --out board --port", server.server_port)
    assert "is taken by another program: give another" in result.complaint
    assert not (place / "board").exists()


def test_the_site_is_built_again_when_records_change_and_outlives_what_cannot_be_read(
    site, monkeypatch
):
    monkeypatch.setattr(module, "POLL_SECONDS", 0.02)
    versions, built, told = ["first"], [], []
    stop, many = threading.Event(), threading.Event()

    def look():
        if versions[0] == "broken":
            many.set()
            raise InvalidInput("cannot be listed")
        return versions[0]

    def wait(what):
        end = time.monotonic() + 300
        while not what():
            assert time.monotonic() < end
            time.sleep(0.01)

    server = Server(site, 0)
    arguments = (server, look, lambda: built.append(versions[0]), "first", stop, told.append)
    thread = threading.Thread(target=serve, args=arguments)
    thread.start()
    versions[0] = "second"
    wait(lambda: built)
    versions[0] = "broken"
    wait(lambda: told)
    assert ask(server, "/")[0] == 200
    versions[0] = "third"
    wait(lambda: len(built) == 2)
    stop.set()
    thread.join()
    assert built == ["second", "third"]
    assert [str(error) for error in told] == ["cannot be listed"]


def test_a_record_changes_the_stamps_that_are_polled(store):
    before = store.backend.versions()
    store.write(make_trial().key, {"record.json": done(make_trial()).to_json()})
    assert store.backend.versions() != before


def test_the_command_serves_until_ctrl_c(resonance, place, store, monkeypatch):
    servers, answers = [], []

    class Seen(Server):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            servers.append(self)

    def build(store, out, workers, **chosen):
        out.mkdir()
        (out / "index.html").write_text(PAGE)
        return SimpleNamespace(boards=[])

    def visit():
        while not servers or not (place / "board" / "index.html").exists():
            time.sleep(0.01)
        answers.append(ask(servers[0], "/")[2])
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(module, "Server", Seen)
    monkeypatch.setattr("leaderboard.site.build.build", build)
    visitor = threading.Thread(target=visit, daemon=True)
    visitor.start()
    result = resonance("leaderboard serve --port 0 --out board")
    visitor.join()
    assert answers == [PAGE]
    assert (result.code, result.out.splitlines()[-1]) == (0, "stopped")
    assert servers[0].socket.fileno() == -1


def test_a_damaged_record_is_left_out_and_the_others_are_read(store):
    kept, lost, linked = (make_trial(seed=seed) for seed in range(3))
    for trial in (kept, lost, linked):
        store.write(trial.key, {"record.json": done(trial).to_json()})
    path = store.folder(lost.key) / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"notes": ["other"]}))
    path = store.folder(linked.key) / "record.json"
    path.rename(path.with_name("real.json"))
    path.symlink_to("real.json")
    records, damaged = store.read_all()
    assert [record.key for record in records] == [kept.key]
    reasons = {trial.key: trial.reason for trial in damaged}
    assert "was altered after it was stored" in reasons[lost.key]
    assert "cannot be read" in reasons[linked.key]
    with pytest.raises(InvalidInput):
        list(store.records())
