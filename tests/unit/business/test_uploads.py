from __future__ import annotations

import io
from typing import Any

import flask
import pytest
from flask import Flask
from flask.testing import FlaskClient

from ada_otel import business, settings
from ada_otel.business import _requests
from ada_otel.business._uploads import USUAL, media_type

from .conftest import Telemetry


def test_context_manager_and_plain_call(telemetry: Telemetry) -> None:
    with business.upload("image/png; q=1", size=100):
        pass
    with business.upload() as up:
        up.file("text/csv", 7)
        up.fail("virus_found")
    with pytest.raises(OSError, match="full"), business.upload("video/x-odd"):
        raise OSError("disk is full")
    business.uploaded("image/png", 50)
    business.uploaded(None, error=ValueError("x"))
    points = telemetry.points()
    assert points["ada.uploads"] == {
        ("success", "image/png"): 2,
        ("failure", "text/csv", "virus_found"): 1,
        ("failure", "video/other", "OSError"): 1,
        ("failure", "unknown", "ValueError"): 1,
    }
    assert points["ada.upload.size"] == {("image/png",): (2, 150), ("text/csv",): (1, 7)}
    assert {key: value[0] for key, value in points["ada.upload.duration"].items()} == {
        ("success", "image/png"): 1,
        ("failure", "text/csv"): 1,
        ("failure", "video/other"): 1,
    }


def test_media_types_are_bounded() -> None:
    found = {media_type(f"{top}/x-{n}") for n in range(500) for top in ("image", "made-up", "text", "")}
    assert found == {"image/other", "text/other", "unknown"}
    assert len(USUAL) == 30


@pytest.fixture
def client(telemetry: Telemetry) -> FlaskClient:
    _requests.install()
    _requests.install()
    app = Flask("shop")
    app.config["MAX_CONTENT_LENGTH"] = 20_000

    @app.post("/parsed")
    def parsed() -> Any:
        sent = flask.request.files["file"]
        return {"size": len(sent.read())}, 201

    @app.post("/refused")
    def refused() -> Any:
        return {"found": list(flask.request.files)}, 415

    @app.post("/broken")
    def broken() -> Any:
        raise RuntimeError(list(flask.request.files))

    @app.post("/raw")
    def raw() -> Any:
        return {"size": len(flask.request.get_data())}

    @app.post("/untouched")
    def untouched() -> Any:
        return {}

    @app.post("/told")
    def told() -> Any:
        with business.upload("application/pdf", 3):
            return {"found": list(flask.request.files)}

    return app.test_client()


def _send(client: FlaskClient, path: str, content: bytes = b"x" * 1000, kind: str = "image/png") -> Any:
    return client.post(path, data={"file": (io.BytesIO(content), "a.png", kind), "note": "n"})


def test_parsed_files_are_counted_by_the_answer(telemetry: Telemetry, client: FlaskClient) -> None:
    assert _send(client, "/parsed").json == {"size": 1000}
    assert _send(client, "/refused", kind="x/y").status_code == 415
    assert _send(client, "/broken").status_code == 500
    assert _send(client, "/parsed", b"x" * 30_000).status_code == 413
    points = telemetry.points()
    assert points["ada.uploads"] == {
        ("success", "image/png"): 1,
        ("failure", "unknown", "415"): 1,
        ("failure", "image/png", "500"): 1,
        ("failure", "unknown", "413"): 1,
    }
    assert points["ada.upload.size"] == {("image/png",): (2, 2000), ("unknown",): (1, 1000)}


def test_each_file_of_a_field_is_counted(telemetry: Telemetry, client: FlaskClient) -> None:
    files = [(io.BytesIO(b"x" * size), f"{size}.png", "image/png") for size in (10, 20, 30)]
    empty = (io.BytesIO(b""), "", "image/png")
    assert (
        client.post(
            "/parsed", data={"file": [*files, empty], "b": (io.BytesIO(b"x"), "b.png", "image/png")}
        ).status_code
        == 201
    )
    points = telemetry.points()
    assert points["ada.uploads"] == {("success", "image/png"): 4}
    assert points["ada.upload.size"][("image/png",)][0] == 4


def test_a_body_that_the_app_does_not_parse_is_not_read(telemetry: Telemetry, client: FlaskClient) -> None:
    assert _send(client, "/raw").json["size"] > 1000
    assert _send(client, "/untouched").status_code == 200
    assert client.post("/parsed", data={"note": "no file"}).status_code == 400
    empty = {"file": (io.BytesIO(b""), "")}
    assert client.post("/refused", data=empty, content_type="multipart/form-data").status_code == 415
    assert telemetry.points() == {}


def test_what_the_app_tells_itself_is_not_counted_twice(telemetry: Telemetry, client: FlaskClient) -> None:
    _send(client, "/told")
    assert telemetry.points()["ada.uploads"] == {("success", "application/pdf"): 1}


def test_setting_turns_it_off(telemetry: Telemetry) -> None:
    original = flask.Request._load_form_data
    business.start(
        settings.load({"ADA_OTEL_UPLOADS": "false", "ADA_OTEL_BUSINESS_FOLDER": str(telemetry.folder)})
    )
    assert flask.Request._load_form_data is original
    business.start(settings.load({"ADA_OTEL_BUSINESS_FOLDER": str(telemetry.folder)}))
    assert flask.Request._load_form_data is not original
    _requests.uninstall()
    assert flask.Request._load_form_data is original
