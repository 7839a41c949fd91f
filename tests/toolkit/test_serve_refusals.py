"""`restore serve` refuses what is wrong, too large or too slow, and says why."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from served import BICUBIC, Server, encoded, posted, problem, started

from restore.serve.forms import Form

FORM = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
"""How a form begins whose boundary is `x`, before the content of its file."""


@pytest.mark.parametrize(
    ("fields", "status", "sentence"),
    [
        ({"model": "nothing"}, 400, "there is no model 'nothing'"),
        ({"model": "/etc/passwd"}, 400, "there is no model '/etc/passwd'"),
        ({"model": "enhancenet:../x.safetensors"}, 400, "there is no model 'enhancenet:../x.safetensors'"),
        ({"model": "auto+bicubic"}, 400, "there is no model 'auto'"),
        ({"model": "enhancenet:pat", "scale": "8"}, 400, "8"),
        ({"scale": "large"}, 422, "`scale`: Input should be a valid number"),
        ({"scale": "2", "width": "9"}, 422, "set the size twice"),
        ({"format": "exe"}, 400, "cannot write the format 'exe'"),
        ({"quality": "101"}, 422, "`quality`: Input should be less than or equal to 100"),
        ({"colour": "red"}, 422, "`colour`: Extra inputs are not permitted"),
    ],
)
def test_wrong_options_are_refused_in_a_sentence(
    client: httpx.Client, server: Server, fields: dict[str, str], status: int, sentence: str
) -> None:
    before = len(server.kept())
    answer = client.post("/api/jobs", files={"image": ("a.png", encoded())}, data=fields)
    assert sentence in problem(answer, status)
    assert len(server.kept()) == before, "the upload is removed"


def test_a_file_that_is_no_image_is_refused_with_the_sentence_of_the_command(client: httpx.Client) -> None:
    assert problem(posted(client, b"hello", "notes.txt"), 422).startswith("notes.txt: it is not an image")
    assert problem(posted(client, b"", "a.png"), 422).startswith("a.png: ")


def test_an_image_that_fails_names_the_upload_and_no_folder(client: httpx.Client, server: Server) -> None:
    content = bytearray(encoded(64, 64))
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    job = posted(client, bytes(content), "broken.png").json()["id"]
    done = server.wait(client, job)
    assert done["state"] == "failed"
    assert done["reason"]
    assert str(server.folder) not in done["reason"]
    assert done["reason"] in problem(client.get(f"/api/jobs/{job}/result"), 422)


def test_uploads_are_bounded_in_bytes_and_pixels(client: httpx.Client, server: Server) -> None:
    before = len(server.kept())
    assert "1 MiB" in problem(client.post("/api/jobs", params=BICUBIC, content=encoded(700, 700)), 413)
    large = encoded(400, 300, kind="JPEG", quality=5)
    assert "100,000" in problem(client.post("/api/jobs", params=BICUBIC, content=large), 422).replace(
        "100000", "100,000"
    )
    assert len(server.kept()) == before


def test_uploads_are_bounded_in_number_and_in_bytes_together(tmp_path: Path) -> None:
    with started(tmp_path, images=2, stored_bytes=2**20) as server, server.client() as client:

        def upload(content: bytes) -> httpx.Response:
            return client.post("/api/images", files={"image": ("a.png", content)})

        kept = [upload(encoded(seed=seed)) for seed in range(2)]
        assert [answer.status_code for answer in kept] == [201, 201]
        refused = upload(encoded())
        assert "no room for more images" in problem(refused, 429)
        assert int(refused.headers["retry-after"]) > 0
        for answer in kept:
            client.delete(f"/api/images/{answer.json()['id']}")
        assert "no room for more images" in problem(upload(encoded(700, 600)), 429)
        assert upload(encoded()).status_code == 201


def test_a_chunked_body_without_a_length_is_bounded(client: httpx.Client, server: Server) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(64):
            yield bytes(2**16)

    before = len(server.kept())
    try:
        answer = client.post("/api/jobs", params=BICUBIC, content=endless())
    except httpx.TransportError:  # the connection was closed while it was sent
        pass
    else:
        problem(answer, 413)
    assert len(server.kept()) == before


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("multipart/form-data; boundary=x", b"--y\r\nnonsense"),
        ("multipart/form-data", b""),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\n1\r\n--x--',
        ),
        ("application/json", b"{"),
        ("application/json", b'{"image": "../../etc/passwd"}'),
        ("application/json", b'{"image": 7}'),
        ("application/json", b"[" * 10_000),
        (f"multipart/form-data; boundary={'x' * 300}", b""),
        ("multipart/form-data; boundary=x", b"--x\r\nA: " + bytes(100_000)),
        ("multipart/form-data; boundary=x", b"--x\r\n" + 100 * b"A: b\r\n"),
    ],
)
def test_malformed_bodies_are_problems_of_the_client(client: httpx.Client, kind: str, content: bytes) -> None:
    answer = client.post("/api/jobs", content=content, headers={"content-type": kind})
    assert 400 <= answer.status_code < 500
    problem(answer, answer.status_code)


def test_forms_are_bounded_in_files_and_fields(client: httpx.Client, server: Server) -> None:
    before, image = server.kept(), ("a.png", encoded())
    two = client.post("/api/images", files=[("image", image), ("image", image)])
    assert "it has a file 'image'; send one file, `image`" in problem(two, 400)
    other = client.post("/api/images", files={"image": image, "mask": image})
    assert "it has a file 'mask'" in problem(other, 400)
    many = client.post(
        "/api/jobs", files={"image": image}, data={f"field{index}": "1" for index in range(30)}
    )
    assert "more than 20 fields" in problem(many, 400)
    long = client.post("/api/jobs", files={"image": image}, data={"model": "x" * 5000})
    assert "its field 'model' has more than 4096 bytes" in problem(long, 400)
    body = FORM + encoded()
    part = client.post(
        "/api/images", content=body, headers={"content-type": "multipart/form-data; boundary=x"}
    )
    assert "its end is missing" in problem(part, 400)
    for names, reason in (
        (b'; name="image"', "its file has no filename"),
        (b"; name=\"image\"; filename*=UTF-8''a.png", "its file has no filename"),
        (b'; filename="a.png"', "it has a file ''"),
        (b"", "one of its parts has no name"),
    ):
        nameless = client.post(
            "/api/images",
            content=b"--x\r\nContent-Disposition: form-data" + names + b"\r\n\r\n1\r\n--x--",
            headers={"content-type": "Multipart/Form-Data; boundary=x"},
        )
        assert reason in problem(nameless, 400)
    assert server.kept() == before


def test_forms_may_be_cut_anywhere_and_their_files_may_resemble_boundaries() -> None:
    content = b"\r\n--x\r\n--xx\r--x\r\n\r\r\n-\r\n--" + bytes(range(256))
    body = (
        b'--xxx\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
        + content
        + b'\r\n--xxx\r\nContent-Disposition: form-data; name="model"\r\n\r\nbicubic\r\n--xxx--\r\n'
    )
    for cuts in (*((cut,) for cut in range(len(body))), range(1, len(body))):
        target = BytesIO()
        form = Form("multipart/form-data; boundary=xxx", target)
        for begin, end in pairwise((0, *cuts, len(body))):
            form.write(body[begin:end])
        assert form.end() == ("a.png", {"model": "bicubic"})
        assert target.getvalue() == content


@pytest.mark.parametrize(
    ("address", "kind"),
    [("/api/session", "application/json"), ("/api/session", "image/png"), ("/api/jobs", "Application/json")],
)
def test_bodies_without_an_image_are_bounded_since_they_are_read_into_memory(
    client: httpx.Client, address: str, kind: str
) -> None:
    content = b'{"token": "' + 100_000 * b"x" + b'"}'
    answer = client.post(address, content=content, headers={"content-type": kind})
    assert "a body without an image may have 64 KiB" in problem(answer, 413)


def test_file_names_of_forms_may_be_utf_8_or_latin_1(client: httpx.Client) -> None:
    for name in ("Süd".encode(), "Süd".encode("latin-1")):
        head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="' + name + b'.png"\r\n\r\n'
        answer = client.post(
            "/api/images",
            content=head + encoded() + b"\r\n--x--\r\n",
            headers={"content-type": "multipart/form-data; boundary=x"},
        )
        assert (answer.status_code, answer.json()["name"]) == (201, "Süd.png")
        client.delete(f"/api/images/{answer.json()['id']}")


def test_what_is_not_there_is_404(client: httpx.Client) -> None:
    assert "no such job" in problem(client.get("/api/jobs/nothing"), 404)
    assert "no such image" in problem(client.get("/api/images/nothing"), 404)
    problem(client.get("/api/images/..%2F..%2Fetc"), 404)
    problem(client.get("/api/nothing"), 404)
    problem(client.get("/static/../../../pyproject.toml"), 404)
    problem(client.get("/static/%2e%2e/%2e%2e/app.py"), 404)
    problem(client.put("/api/jobs"), 405)


def test_names_from_outside_are_shown_and_never_opened(client: httpx.Client, server: Server) -> None:
    job = posted(client, encoded(), '../../x\r\nSet-Cookie: a=b;"\u202e.png').json()
    assert "/" not in job["name"]
    assert "\u202e" not in job["name"]
    server.wait(client, job["id"])
    answer = client.get(f"/api/jobs/{job['id']}/result")
    assert "set-cookie" not in answer.headers
    assert not list(server.folder.parent.glob("x*"))


def test_slow_uploads_time_out_and_leave_nothing(tmp_path: Path) -> None:
    with started(tmp_path, idle_seconds=1.0, upload_seconds=3.0) as server:
        for kind in ("image/png", "multipart/form-data; boundary=x"):
            for drips in (False, True):  # bytes that keep coming do not help
                begin = time.monotonic()
                answer = stalled(server, kind, FORM, drips=drips)
                assert answer.status == 408
                assert "took too long" in json.load(answer)["detail"]
                assert time.monotonic() - begin >= (3 if drips else 1)
        assert server.kept() == []


def test_a_form_that_breaks_off_was_stored_in_the_private_folder_and_is_removed(
    tmp_path: Path,
) -> None:
    content = encoded(600, 600)
    with started(tmp_path) as server:
        address = urlsplit(server.address)
        head = (
            f"POST /api/images HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: 9000000\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        )
        with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
            connection.sendall(head.encode() + FORM + content)
            end = time.monotonic() + 60
            while sum(file.stat().st_size for file in server.folder.rglob("upload")) < len(content) - 2**16:
                assert time.monotonic() < end
                time.sleep(0.05)
        while server.kept():
            assert time.monotonic() < end
            time.sleep(0.05)


def stalled(server: Server, kind: str, begin: bytes, *, drips: bool) -> http.client.HTTPResponse:
    """The answer to an upload that begins and then sends nothing, or a byte now and then."""
    address = urlsplit(server.address)
    head = f"POST /api/jobs HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: {kind}\r\n"
    with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
        connection.sendall(f"{head}Content-Length: 100000\r\n\r\n".encode() + begin)

        def drip() -> None:
            with contextlib.suppress(OSError):  # until the connection is closed
                while True:
                    time.sleep(0.2)
                    connection.sendall(b"x")

        if drips:
            threading.Thread(target=drip, daemon=True).start()
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer


def test_a_request_that_is_no_http_is_refused(server: Server) -> None:
    address = urlsplit(server.address)
    connection = http.client.HTTPConnection(address.hostname or "", address.port)
    connection.putrequest("GET", "/api/health", skip_host=True)
    connection.endheaders()
    assert connection.getresponse().status in (400, 421)
