"""Downloads from a local file server: checked, retried, atomic, and nothing lands outside its folder."""

import hashlib
import io
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.helpers import raises_naming
from workflows.evaluation.download import DownloadError, fetch

PICTURE = b"pixels"


def zipped(*names):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        for name in names:
            file.writestr(name, PICTURE)
    return data.getvalue()


def tarred(*names, link=None):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as file:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(PICTURE)
            file.addfile(member, io.BytesIO(PICTURE))
        if link:
            member = tarfile.TarInfo(link[0])
            member.type, member.linkname = tarfile.SYMTYPE, link[1]
            file.addfile(member)
    return data.getvalue()


@pytest.fixture
def server():
    """Serves `server.content` at any path, after `server.answers` have each been given once."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.requests += 1
            answer = self.server.answers.pop(0) if self.server.answers else 200
            body = self.server.content
            if answer == "cut":
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2])
                return
            self.send_response(answer)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.requests, server.answers, server.content = (
            0,
            [],
            zipped("Set/HR/a.png", "Set/HR/b.png", "Set/HR/readme.txt"),
        )
        server.url = f"http://127.0.0.1:{server.server_port}/set.zip"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def get(server, folder, digest=None):
    digest = digest or hashlib.sha256(server.content).hexdigest()
    folders = folder if isinstance(folder, dict) else {"": folder}
    fetch(server.url, digest, folders, tries=3, pause=0, progress=False)


def nothing_is_left(tmp_path):
    return list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_images_are_unpacked_without_the_folders_that_all_share(server, tmp_path, pack):
    server.content = pack("Set/HR/a.png", "Set/HR/b.png", "Set/HR/readme.txt")
    get(server, tmp_path / "data/Set5")
    assert sorted(p.name for p in (tmp_path / "data/Set5").iterdir()) == ["a.png", "b.png"]
    assert (tmp_path / "data/Set5/a.png").read_bytes() == PICTURE
    assert [p.name for p in (tmp_path / "data").iterdir()] == ["Set5"]


def test_an_existing_folder_does_not_change(server, tmp_path):
    (tmp_path / "Set5").mkdir()
    get(server, tmp_path / "Set5")
    assert server.requests == 0


def test_parts_of_one_archive_go_to_folders_of_their_own_by_one_download(server, tmp_path):
    server.content = tarred("all/Set5/HR/a.png", "all/Set5/X2/a.png", "all/B100/HR/b.png", "all/Set50/c.png")
    (tmp_path / "Set14").mkdir()
    get(server, {"all/Set5": tmp_path / "Set5", "all/Set14": tmp_path / "Set14", "all/B100": tmp_path / "x/B100"})
    found = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file())
    assert found == ["Set5/HR/a.png", "Set5/X2/a.png", "x/B100/HR/b.png"]
    assert server.requests == 1
    with raises_naming(DownloadError, server.url, "all/Set14"):
        get(server, {"all/Set14": tmp_path / "again"})


@pytest.mark.parametrize("answers", [[503, 500], ["cut", 429]])
def test_passing_troubles_are_tried_again(server, tmp_path, answers):
    server.answers = answers
    get(server, tmp_path / "Set5")
    assert server.requests == 3
    assert (tmp_path / "Set5/a.png").exists()


def test_lasting_troubles_end_with_the_address(server, tmp_path):
    server.answers = [503] * 5
    with raises_naming(DownloadError, server.url, 3, 503):
        get(server, tmp_path / "Set5")
    assert server.requests == 3
    assert nothing_is_left(tmp_path)


def test_a_missing_file_is_not_tried_again(server, tmp_path):
    server.answers = [404]
    with raises_naming(DownloadError, server.url, 404):
        get(server, tmp_path / "Set5")
    assert server.requests == 1


def test_another_checksum_unpacks_nothing(server, tmp_path):
    with raises_naming(DownloadError, server.url, hashlib.sha256(server.content).hexdigest(), "00"):
        get(server, tmp_path / "Set5", "00")
    assert nothing_is_left(tmp_path)


@pytest.mark.parametrize(
    ("content", "member"),
    [
        (zipped("a.png", "../evil.png"), "../evil.png"),
        (zipped("a.png", "/evil.png"), "/evil.png"),
        (zipped("a.png", "x\\..\\..\\evil.png"), "x\\..\\..\\evil.png"),
        (tarred("a.png", "../../evil.png"), "../../evil.png"),
        (tarred("a.png", "/evil.png"), "/evil.png"),
        (tarred("a.png", link=("link", "/etc")), "link"),
    ],
    ids=["zip ..", "zip absolute", "zip backslash", "tar ..", "tar absolute", "tar link"],
)
def test_no_member_lands_outside_its_folder(server, tmp_path, content, member):
    server.content = content
    with raises_naming(DownloadError, server.url, repr(member)[1:-1]):
        get(server, tmp_path / "inner/Set5")
    assert list(tmp_path.rglob("*.png")) == []
    assert nothing_is_left(tmp_path / "inner")


@pytest.mark.parametrize(
    "content",
    [b"<html>moved</html>", zipped("readme.txt"), zipped("a.png")[:-30]],
    ids=["page", "no images", "cut short"],
)
def test_what_is_no_archive_of_images_is_refused(server, tmp_path, content):
    server.content = content
    with raises_naming(DownloadError, server.url):
        get(server, tmp_path / "Set5")
    assert nothing_is_left(tmp_path)
