"""`restore serve`: the interface for programs, against a real server process."""

from __future__ import annotations

import contextlib
import errno
import http.client
import json
import os
import signal
import socket
import threading
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from itertools import islice, pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from PIL import Image
from served import Server, encoded, started

import restore
from restore.batch import Outcome
from restore.batch.executor import Settings
from restore.batch.jobs import AnyJob
from restore.errors import RestoreError, UsageError
from restore.registry import discover
from restore.serve import Address, Limits, PrivateFolder, RestorerCache, Service
from restore.serve.api.results import sent
from restore.serve.archive import unique
from restore.serve.forms import Form
from restore.serve.jobs import ENDED, Jobs, ServedJob
from restore.serve.memory import Memory
from restore.serve.problems import Problem
from restore.serve.schema import JobOptions
from restore.serve.uploads import Upload, Uploads

BICUBIC = {"model": "bicubic", "scale": "2"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with started(tmp_path_factory.mktemp("serve"), "--max-upload", 1, "--max-pixels", 100_000) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as found:
        yield found


def posted(client: httpx.Client, content: bytes, name: str = "a.png", **fields: str) -> httpx.Response:
    return client.post("/api/jobs", files={"image": (name, content)}, data=BICUBIC | fields)


def problem(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    assert document["title"]
    return str(document["detail"])


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def pixels(content: bytes) -> Any:
    with Image.open(BytesIO(content)) as image:
        return np.array(image)


# Restoring


def test_an_image_as_the_body_comes_back_as_the_command_would_write_it(client: httpx.Client) -> None:
    content = encoded()
    answer = client.post("/api/restore", params={**BICUBIC, "name": "a.png"}, content=content)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    assert "a_x2.png" in answer.headers["content-disposition"]
    expected = restore.load("bicubic", scale=2, device="cpu").upscale(content)
    assert np.array_equal(pixels(answer.content), pixels(expected))


def test_a_job_is_queued_done_and_fetched(client: httpx.Client, server: Server) -> None:
    answer = posted(client, encoded(), "holiday.jpg", format="webp")
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["location"] == f"/api/jobs/{job['id']}"
    done = server.wait(client, job["id"])
    assert (done["state"], done["size"], done["model"]) == ("done", [48, 32], "bicubic")
    result = client.get(f"/api/jobs/{job['id']}/result")
    assert result.headers["content-type"] == "image/webp"
    assert 'filename="holiday_x2.webp"' in result.headers["content-disposition"]
    assert len(result.content) == done["bytes"]


def test_a_model_without_the_name_of_its_weights_is_that_of_the_command_line(client: httpx.Client) -> None:
    content = encoded()
    answer = client.post("/api/restore", params={"model": "srcnn"}, content=content)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-model"] == "srcnn"


def test_what_a_file_carries_is_kept(client: httpx.Client) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a harbor"
    answer = client.post(
        "/api/restore", files={"image": ("a.jpg", encoded(kind="JPEG", exif=exif))}, data=BICUBIC
    )
    with Image.open(BytesIO(answer.content)) as image:
        assert image.getexif()[0x010E] == "a harbor"


def test_errors_about_an_image_say_its_name(client: httpx.Client, server: Server) -> None:
    content = encoded(200, 200)
    damaged = content[: len(content) // 2]
    answer = client.post("/api/images", files={"image": ("holiday.png", damaged)})
    assert problem(answer, 422).startswith("holiday.png: ")
    job = client.post("/api/jobs", files={"image": ("holiday.png", damaged)}, data=BICUBIC).json()
    for address, fields in (
        ("plan", {}),
        ("preview", {**BICUBIC, "crop": "0,0,16,16"}),
    ):
        answer = client.get(f"/api/images/{job['image']}/{address}", params=fields)
        assert problem(answer, 422).startswith("holiday.png: ")
        assert str(server.folder) not in answer.text
    server.wait(client, job["id"])


def test_an_image_is_looked_at_planned_and_previewed_before_it_is_restored(client: httpx.Client) -> None:
    answer = client.post("/api/images", files={"image": ("a.jpg", encoded(128, 96, kind="JPEG", quality=30))})
    assert answer.status_code == 201, answer.text
    image = answer.json()
    assert image["size"] == [128, 96]
    assert "jpeg" in image["degradations"]
    address = f"/api/images/{image['id']}"
    plan = client.get(f"{address}/plan", params=BICUBIC).json()
    assert (plan["size"], plan["model"]) == ([256, 192], "bicubic")
    chosen = client.get(f"{address}/plan").json()
    assert "enhancenet:" in chosen["model"]
    assert chosen["reason"].startswith("JPEG of quality 30")
    preview = client.get(f"{address}/preview", params={**BICUBIC, "crop": "8,8,20,10"})
    assert pixels(preview.content).shape[:2] == (20, 40)
    job = client.post("/api/jobs", json={"image": image["id"], "model": "bicubic", "width": 64})
    assert job.status_code == 202
    assert client.get(f"{address}/view").headers["content-type"] == "image/jpeg"


def test_a_preview_is_that_part_of_the_result(client: httpx.Client) -> None:
    content = encoded(40, 40)
    image = client.post("/api/images", files={"image": ("a.png", content)}).json()
    whole = pixels(client.post("/api/restore", params=BICUBIC, content=content).content)
    address = f"/api/images/{image['id']}/preview"
    part = pixels(client.get(address, params={**BICUBIC, "crop": "10,10,20,20"}).content)
    assert np.array_equal(part[8:-8, 8:-8], whole[28:52, 28:52])


def test_events_of_a_job_end_with_the_job(client: httpx.Client) -> None:
    job = posted(client, encoded()).json()["id"]
    with client.stream("GET", f"/api/jobs/{job}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        states = [json.loads(line[6:])["state"] for line in stream.iter_lines() if line.startswith("data: ")]
    assert states[-1] == "done"


def test_a_group_has_its_own_jobs_and_one_archive(client: httpx.Client, server: Server) -> None:
    group = "group-of-this-test-1"
    jobs = [posted(client, encoded(seed=seed), "a.png", group=group).json()["id"] for seed in range(3)]
    for job in jobs:
        server.wait(client, job)
    assert [job["id"] for job in client.get("/api/jobs", params={"group": group}).json()] == jobs
    assert client.get("/api/jobs", params={"group": "somebody-elses-group"}).json() == []
    answer = client.get("/api/results.zip", params={"group": group})
    with zipfile.ZipFile(BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["a_x2.png", "a_x2 (2).png", "a_x2 (3).png"]
    problem(client.get("/api/results.zip", params={"group": "somebody-elses-group"}), 404)
    problem(client.get("/api/jobs", params={"group": "*"}), 422)


@pytest.mark.parametrize(
    ("names", "members"),
    [
        (["a.png", "a.png", "a (2).png"], ["a.png", "a (3).png", "a (2).png"]),
        (["a (2).png", "a.png", "A.png", "a.png"], ["a (2).png", "a.png", "A (3).png", "a (4).png"]),
        (["a.b.png", "a.b.png", "a.b.png"], ["a.b.png", "a.b (2).png", "a.b (3).png"]),
    ],
)
def test_no_two_members_of_an_archive_have_the_same_name(names: list[str], members: list[str]) -> None:
    assert list(unique(names)) == members


def test_the_comparison_shows_input_and_result(client: httpx.Client, server: Server) -> None:
    job = posted(client, encoded(), "<b>.png").json()["id"]
    server.wait(client, job)
    answer = client.get(f"/api/jobs/{job}/comparison")
    assert answer.status_code == 200, answer.text
    assert f'data-address="/api/jobs/{job}/view"' in answer.text
    assert "<b>" not in answer.text
    assert "unsafe-inline" not in answer.headers["content-security-policy"].partition("style-src")[0]


def test_formats_that_browsers_do_not_know_are_shown_as_png(client: httpx.Client, server: Server) -> None:
    job = posted(client, encoded(kind="TIFF"), "a.tif").json()
    assert job["result"] == "a_x2.tif"
    server.wait(client, job["id"])
    for address in (f"/api/jobs/{job['id']}/view", f"/api/images/{job['image']}/view"):
        answer = client.get(address)
        assert answer.headers["content-type"] == "image/png"
        assert pixels(answer.content).ndim == 3


def test_models_health_metrics_and_the_description(client: httpx.Client) -> None:
    models = {model["name"]: model for model in client.get("/api/models").json()}
    names = [*models]
    assert names[0] == "auto"
    assert models["enhancenet:e"]["scales"] == [2, 4], "one entry for both scales"
    assert {"bicubic", "enhancenet:photo", "ffdnet:jpeg"} <= set(names)
    assert "dncnn" not in names, "it has no weights"
    assert client.get("/api/health").json()["status"] == "ok"
    assert client.post("/api/restore", params=BICUBIC, content=encoded()).status_code == 200
    assert 'restore_jobs_total{state="done"}' in client.get("/api/metrics").text
    paths = client.get("/api/openapi.json").json()["paths"]
    assert {"/api/jobs", "/api/jobs/{job}", "/api/models", "/api/health", "/api/metrics"} <= set(paths)
    page = client.get("/reference").text
    assert all(path in page for path in paths)
    assert "<script" not in page


# Errors


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


def test_an_upload_whose_folder_cannot_be_made_leaves_no_reservation(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path / "missing", Limits(images=1))
    for _ in range(2):
        with pytest.raises(Problem, match="cannot store the image: No such file"), uploads.receiving(2**20):
            pass
    assert uploads.stored == 0


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
    body = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n' + encoded()
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


# Who may use it


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "a@127.0.0.1", "", "[::1", "["]
)
def test_other_hosts_are_refused(client: httpx.Client, host: str) -> None:
    assert "is not called" in problem(client.get("/api/models", headers={"host": host}), 421)
    assert client.get("/", headers={"host": host}).status_code == 421


@pytest.mark.parametrize(
    "origin", ["null", "https://evil.example", "http://127.0.0.1:1", "http://localhost:3000", "http://[", ""]
)
def test_pages_of_other_origins_are_refused(client: httpx.Client, origin: str) -> None:
    answer = client.post("/api/jobs", params=BICUBIC, content=encoded(), headers={"origin": origin})
    assert "may not use this server" in problem(answer, 403)


def test_its_own_page_and_programs_are_answered(client: httpx.Client, server: Server) -> None:
    assert client.get("/api/models", headers={"origin": server.address.rstrip("/")}).status_code == 200
    port = urlsplit(server.address).port
    assert client.get("/api/models", headers={"host": f"localhost:{port}"}).status_code == 200
    embedded = {"sec-fetch-site": "cross-site"}
    problem(client.get("/api/models", headers=embedded), 403)


def test_every_answer_has_the_headers_that_keep_pages_apart(client: httpx.Client) -> None:
    for answer in (client.get("/"), client.get("/api/models"), client.get("/nothing")):
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("token", ["", "short"])
def test_an_address_that_others_reach_needs_a_token(token: str) -> None:
    with pytest.raises(UsageError, match="other machines can reach"):
        Address("0.0.0.0", token=token)  # noqa: S104 - it is refused
    with pytest.raises(UsageError, match="other machines can reach photos"):
        Address(allowed_hosts=("localhost", "photos.example"), token=token)


def test_a_server_on_all_addresses_needs_a_name_which_is_shown() -> None:
    token = "0123456789abcdef"  # noqa: S105 - of no server
    with pytest.raises(UsageError, match="needs a host name; set `allowed_host`"):
        Address("0.0.0.0", token=token)  # noqa: S104 - it is refused
    address = Address("0.0.0.0", allowed_hosts=("photos.example", "127.0.0.1"), token=token)  # noqa: S104 - not listened on
    assert (address.shown, Address("::1").shown) == ("photos.example", "[::1]")


def test_a_token_is_needed_and_exchanged_for_a_cookie(tmp_path: Path) -> None:
    token = "0123456789abcdef"  # noqa: S105 - of the test's own server
    with started(tmp_path, "--token", token) as server, server.client() as client:
        assert "a token is needed" in problem(client.get("/api/models"), 401)
        problem(client.get("/api/models", headers={"authorization": "Bearer wrong"}), 401)
        assert client.get("/api/health").status_code == 200
        assert client.get("/").status_code == 200, "the page asks for it"
        assert client.get("/api/models", headers={"authorization": f"Bearer {token}"}).status_code == 200
        problem(client.post("/api/session", json={"token": "wrong"}), 401)
        answer = client.post("/api/session", json={"token": token})
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert token not in cookie
        assert client.get("/api/models").status_code == 200, "with the cookie"
        assert not any(token in message for message in server.messages)


# The guide


def test_the_client_of_the_guide_restores_photos(server: Server, tmp_path: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "how-to" / "serve.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    exec(guide.partition("```python\n")[2].partition("```")[0], names)  # noqa: S102 - of this repository
    client = names["Restoring"](server.address)
    photos = [tmp_path / f"{seed}.png" for seed in range(3)]
    for seed, photo in enumerate(photos):
        photo.write_bytes(encoded(seed=seed))
    results = client.restore(photos, tmp_path, model="bicubic", scale=2)
    assert [file.name for file in results] == ["0_x2.png", "1_x2.png", "2_x2.png"]
    assert all(pixels(file.read_bytes()).shape[:2] == (32, 48) for file in results)
    with pytest.raises(RuntimeError, match="there is no model 'nothing'"):
        client.submit(photos[0], model="nothing")


# Load


def test_fifty_clients_at_once_all_get_their_own_image(client: httpx.Client, server: Server) -> None:
    def one(seed: int) -> bool:
        with server.client() as own:
            content = encoded(16 + seed, 16, seed)
            answer = own.post("/api/restore", params=BICUBIC, content=content)
            return answer.status_code == 200 and pixels(answer.content).shape[1] == 2 * (16 + seed)

    before = set(server.kept())
    with ThreadPoolExecutor(50) as pool:
        assert all(pool.map(one, range(50)))
    assert set(server.kept()) <= before, "nothing is left behind"


def test_a_thousand_small_jobs_need_no_more_memory_than_a_few(server: Server) -> None:
    status = Path(f"/proc/{server.process.pid}/status")
    if not status.exists():
        pytest.skip("needs the figures of Linux")
    content, local = encoded(16, 16), threading.local()

    def memory() -> int:
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if "VmRSS" in line)

    def one(_: int) -> int:
        if not hasattr(local, "client"):
            local.client = server.client()
        answer: httpx.Response = local.client.post("/api/restore", params=BICUBIC, content=content)
        return answer.status_code

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(one, range(50))) == {200}
        before = memory()
        assert set(pool.map(one, range(1000))) == {200}
    assert memory() - before < 64 * 1024, "KiB"


def test_a_full_queue_answers_429_and_retrying_gets_everything_done(tmp_path: Path) -> None:
    with started(tmp_path, "--queue", 4) as server, server.client() as client:
        image = client.post("/api/images", files={"image": ("a.png", encoded(200, 200))}).json()["id"]
        long = client.post("/api/jobs", json={"image": image, "model": "enhancenet:pat"})
        refused = 0
        jobs = [long.json()["id"]]  # while it runs, others wait
        while len(jobs) < 40:
            answer = client.post("/api/jobs", json={"image": image, "model": "bicubic"})
            if answer.status_code == 429:
                refused += 1
                assert int(answer.headers["retry-after"]) > 0
                time.sleep(0.02)
            else:
                jobs.append(answer.json()["id"])
        assert refused > 0
        assert {server.wait(client, job)["state"] for job in jobs} == {"done"}


def test_a_canceled_job_stops_and_leaves_nothing(client: httpx.Client, server: Server) -> None:
    image = client.post("/api/images", files={"image": ("a.png", encoded(300, 300))}).json()
    before = set(server.kept())
    body = {"image": image["id"], "model": "enhancenet:pat"}
    first, second = (client.post("/api/jobs", json=body).json()["id"] for _ in range(2))
    for job in (second, first):
        assert client.delete(f"/api/jobs/{job}").status_code == 204
        problem(client.get(f"/api/jobs/{job}"), 404)
    job = posted(client, encoded()).json()
    assert server.wait(client, job["id"])["state"] == "done", "the server goes on"
    client.delete(f"/api/jobs/{job['id']}")
    client.delete(f"/api/images/{job['image']}")
    assert set(server.kept()) <= before


def uploaded(uploads: Uploads, name: str = "a.png") -> Upload:
    """An image among the uploads of a service in this process."""
    with uploads.receiving(4000) as place:
        place.path.write_bytes(encoded())
        return uploads.add(place, name)


def submitted(service: Service, name: str = "a.png") -> ServedJob:
    """A job of a service in this process."""
    return service.submit(uploaded(service.uploads, name), JobOptions.model_validate(BICUBIC))


class RemovingExecutor:
    """Has each job removed when its result is nearly written."""

    service: Service

    def run(self, jobs: Iterable[AnyJob], settings: Settings) -> Iterator[Outcome]:
        for job in jobs:
            self.service.remove(*self.service.jobs.all())
            destination = Path(str(job.destination))
            destination.parent.mkdir(parents=True)
            destination.write_bytes(b"a result")
            yield Outcome(job.source, "done", job.destination)


def test_a_result_that_is_written_after_its_job_was_removed_is_removed(tmp_path: Path) -> None:
    networks, executor = RestorerCache(discover(), {"device": "cpu"}), RemovingExecutor()
    with PrivateFolder(tmp_path) as folder, Service(networks, folder, executor=executor) as service:
        executor.service = service
        job = submitted(service)
        before = service.uploads.stored
        wait_for(lambda: job.state == "canceled")
        wait_for(lambda: not job.folder.exists(), 5)
        time.sleep(0.2)
        assert not job.folder.exists()
        assert service.uploads.stored == before


class FailingExecutor:
    """Fails after it has taken a number of jobs, as that of a cluster without a scheduler."""

    def __init__(self, taken: int, error: BaseException) -> None:
        self._taken, self._error = taken, error

    def run(self, jobs: Iterable[AnyJob], settings: Settings) -> Iterator[Outcome]:
        list(islice(jobs, self._taken))
        raise self._error


@pytest.mark.parametrize("taken", [0, 1, 2])
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RestoreError("no scheduler answers"), "no scheduler answers"),
        (
            SystemExit(3),
            "unexpected SystemExit: 3; leave the image out, and report it with its traceback",
        ),
    ],
)
def test_jobs_fail_with_their_own_names_if_the_executor_fails(
    tmp_path: Path, taken: int, error: BaseException, reason: str
) -> None:
    networks, executor = RestorerCache(discover(), {"device": "cpu"}), FailingExecutor(taken, error)
    with PrivateFolder(tmp_path) as folder, Service(networks, folder, executor=executor) as service:
        jobs = [submitted(service, name) for name in ("a.png", "b.png", "c.png")]
        wait_for(lambda: all(job.state in ENDED for job in jobs))
        # A reason that named the image of another job would be that of another user.
        assert [(job.state, job.reason) for job in jobs] == [("failed", reason)] * 3
        assert [job.upload.jobs for job in jobs] == [0, 0, 0]


class UnreadableResult:
    """Puts a file where the folder of the result should be."""

    def run(self, jobs: Iterable[AnyJob], settings: Settings) -> Iterator[Outcome]:
        for job in jobs:
            Path(str(job.destination)).parent.write_bytes(b"no folder")
            yield Outcome(job.source, "done", job.destination)


def test_a_job_fails_if_its_result_cannot_be_found(tmp_path: Path) -> None:
    networks, executor = RestorerCache(discover(), {"device": "cpu"}), UnreadableResult()
    with PrivateFolder(tmp_path) as folder, Service(networks, folder, executor=executor) as service:
        job = submitted(service)
        wait_for(lambda: job.state in ENDED)
        assert (job.state, "Not a directory" in job.reason) == ("failed", True)


def test_results_are_refused_where_there_is_no_room(tmp_path: Path) -> None:
    networks, limits = RestorerCache(discover(), {"device": "cpu"}), Limits(stored_bytes=20_000)
    with PrivateFolder(tmp_path) as folder, Service(networks, folder, limits) as service:
        job = submitted(service)
        wait_for(lambda: job.state == "done")
        service.uploads.add_result(20_000)
        with pytest.raises(Problem, match="no room for more images"):
            service.submit(job.upload, JobOptions.model_validate(BICUBIC))
        service.uploads.add_result(-20_000)
        assert service.submit(job.upload, JobOptions.model_validate(BICUBIC))


def test_an_upload_that_was_asked_for_while_others_expire_is_kept(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, Limits())
    upload = uploaded(uploads)
    upload.used -= 10
    before = upload.used + 5
    assert uploads.get(upload.id) is upload
    uploads.discard(upload, before)
    assert upload.path.exists()
    upload.used = before - 5
    uploads.discard(upload, before)
    assert not upload.path.exists()


def test_a_canceled_job_is_not_put_back() -> None:
    jobs = Jobs(Limits())
    upload = Upload("id", "a.png", Path("a.png"), 1, (1, 1))
    job = ServedJob(upload, JobOptions.model_validate(BICUBIC), None, Path("folder"), "a_x2.png")
    jobs.submit(job)
    assert jobs.next() is job
    job.cancel.set()  # as the first thing that `Jobs.cancel` does
    jobs.put_back(job)
    jobs.cancel(job)
    assert (job.state, upload.jobs, jobs.count()) == ("canceled", 0, (0, 0))


def test_a_full_disk_is_said_and_its_upload_is_not_counted(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path, Limits())
    with pytest.raises(Problem, match="cannot store the image: No space left"), uploads.receiving(100):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert uploads.stored == 0


def test_results_that_are_being_sent_do_not_expire(tmp_path: Path) -> None:
    networks = RestorerCache(discover(), {"device": "cpu"})
    with PrivateFolder(tmp_path) as folder, Service(networks, folder) as service:
        jobs = [submitted(service) for _ in range(2)]
        wait_for(lambda: all(job.state == "done" for job in jobs))
        for number, (_, file) in enumerate(sent(jobs)):
            assert service.jobs.expired() == []
            for job in jobs:
                job.upload.used -= 4000
            assert len(service.jobs.expired()) == 2
            assert file == jobs[number].job.destination


def test_slow_uploads_time_out_and_leave_nothing(tmp_path: Path) -> None:
    form = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    with started(tmp_path, idle_seconds=1.0, upload_seconds=3.0) as server:
        for kind in ("image/png", "multipart/form-data; boundary=x"):
            for drips in (False, True):  # bytes that keep coming do not help
                begin = time.monotonic()
                answer = stalled(server, kind, form, drips=drips)
                assert answer.status == 408
                assert "took too long" in json.load(answer)["detail"]
                assert time.monotonic() - begin >= (3 if drips else 1)
        assert server.kept() == []


def test_a_form_that_breaks_off_was_stored_in_the_private_folder_and_is_removed(
    tmp_path: Path,
) -> None:
    form = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    content = encoded(600, 600)
    with started(tmp_path) as server:
        address = urlsplit(server.address)
        head = (
            f"POST /api/images HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: 9000000\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        )
        with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
            connection.sendall(head.encode() + form + content)
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


@contextlib.contextmanager
def service_with_upload(folder: Path, memory: Memory) -> Iterator[tuple[Service, Upload]]:
    """A service on this process's CPU, and an image that was uploaded to it."""
    networks = RestorerCache(discover(), {"device": "cpu"})
    with PrivateFolder(folder) as private, Service(networks, private, memory=memory) as service:
        yield service, uploaded(service.uploads)


def test_a_job_waits_for_memory_and_goes_on(tmp_path: Path) -> None:
    memory = Memory(lambda: 2**30)
    with service_with_upload(tmp_path, memory) as (service, upload):
        options = JobOptions.model_validate(BICUBIC)
        with memory.holding(2**30):
            jobs = [service.submit(upload, options) for _ in range(3)]
            time.sleep(1)
            assert [job.state for job in jobs] == ["running", "queued", "queued"]
            assert jobs[0].progress == 0
            service.remove(jobs[0])
            time.sleep(1)
            assert [job.state for job in jobs] == ["canceled", "running", "queued"]
        wait_for(lambda: all(job.state in ENDED for job in jobs))
        assert [job.state for job in jobs] == ["canceled", "done", "done"]
        assert memory.take(2**30), "all that was promised was given back"


def test_models_are_dropped_when_memory_is_short_but_never_the_last() -> None:
    networks = RestorerCache(discover(), {"device": "cpu"})
    memory = Memory(lambda: 100, drop=networks.drop)
    kept = [networks.restorer(JobOptions(model="bicubic", scale=scale)) for scale in (2, 3, 4)]
    assert memory.take(60)
    assert networks.count == 3
    assert not memory.take(60), "while others have memory, it waits"
    assert networks.count == 1
    assert networks.restorer(JobOptions(model="bicubic", scale=4)) is kept[2], "used last"


def test_a_client_that_goes_away_ends_its_upload_and_its_job(client: httpx.Client, server: Server) -> None:
    before = set(server.kept())
    address = urlsplit(server.address)
    content = encoded(300, 300)
    head = f"POST /api/restore?model=enhancenet:pat HTTP/1.1\r\nHost: {address.netloc}\r\n"
    for body in (content[:1000], content):
        with socket.create_connection((address.hostname, address.port)) as connection:
            connection.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + body)
            time.sleep(0.3)
    wait_for(lambda: set(server.kept()) <= before and client.get("/api/health").json()["running"] == 0)


# The end


def test_sigterm_ends_streams_and_removes_everything(tmp_path: Path) -> None:
    with started(tmp_path) as server, server.client() as client:
        group = "group-of-this-test-1"
        body = {"model": "enhancenet:pat", "group": group}
        for _ in range(3):
            client.post("/api/jobs", files={"image": ("a.png", encoded(400, 400))}, data=body)
        listening, ended = threading.Event(), threading.Event()

        def listen() -> None:
            with (
                server.client() as other,
                other.stream("GET", "/api/events", params={"group": group}) as stream,
            ):
                for _ in stream.iter_lines():
                    listening.set()
            ended.set()

        threading.Thread(target=listen, daemon=True).start()
        assert listening.wait(30)
        assert server.stop() == 0
        assert ended.wait(10)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a kill that cannot be handled")
def test_the_next_server_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    with started(tmp_path) as server, server.client() as client:
        posted(client, encoded())
        server.stop(signal.SIGKILL)
        (orphan,) = tmp_path.iterdir()
        assert server.kept()
    with started(tmp_path) as server:
        (folder,) = tmp_path.iterdir()
        assert folder != orphan
        assert folder.stat().st_mode & 0o077 == 0, "others cannot read it"
        with started(tmp_path) as second:
            assert len(list(tmp_path.iterdir())) == 2, "a server that runs keeps its folder"
            assert second.process.poll() is None


def test_a_port_that_is_in_use_is_an_error_in_one_sentence(server: Server, tmp_path: Path) -> None:
    port = urlsplit(server.address).port
    with (
        pytest.raises(AssertionError, match=f"cannot listen on 127.0.0.1:{port}"),
        started(tmp_path, "--port", port),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_uploads_and_results_are_removed_after_a_time(tmp_path: Path) -> None:
    with started(tmp_path, "--keep", 0.1) as server, server.client() as client:
        job = posted(client, encoded()).json()["id"]
        server.wait(client, job)
        wait_for(lambda: server.kept() == [])
        problem(client.get(f"/api/jobs/{job}"), 404)


def test_a_result_is_kept_for_a_time_even_if_its_job_had_to_wait_longer_than_that(tmp_path: Path) -> None:
    memory = Memory(lambda: 2**30)
    with service_with_upload(tmp_path, memory) as (service, upload):
        with memory.holding(2**30):
            job = service.submit(upload, JobOptions.model_validate(BICUBIC))
            upload.used -= 2 * service.limits.keep_seconds
            service.expire()
        wait_for(lambda: job.state == "done")
        service.expire()
        assert service.uploads.get(upload.id) is upload
        assert service.jobs.get(job.id) is job


def test_a_result_stays_when_its_image_is_removed(client: httpx.Client, server: Server) -> None:
    job = posted(client, encoded()).json()
    address = f"/api/jobs/{job['id']}"
    server.wait(client, job["id"])
    assert client.delete(f"/api/images/{job['image']}").status_code == 204
    assert client.get(address).json()["state"] == "done"
    assert client.get(f"{address}/result").status_code == 200
    assert "there is no such image" in problem(client.get(f"{address}/comparison"), 404)
    assert client.delete(address).status_code == 204
    problem(client.get(address), 404)


def test_a_request_that_is_no_http_is_refused(server: Server) -> None:
    address = urlsplit(server.address)
    connection = http.client.HTTPConnection(address.hostname or "", address.port)
    connection.putrequest("GET", "/api/health", skip_host=True)
    connection.endheaders()
    assert connection.getresponse().status in (400, 421)
