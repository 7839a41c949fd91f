"""`restore serve`: the interface for programs, against a real server process."""

from __future__ import annotations

import json
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from served import BICUBIC, Server, encoded, pixels, posted, problem

import restore
from restore.serve.archive import unique


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
