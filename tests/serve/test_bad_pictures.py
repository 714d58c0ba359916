"""The bad-picture table: whatever is posted gives the right picture or a clear 4xx, never a 5xx."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.serve.conftest import ear, encoded, png

ROUTES = ("/v1/embed", "/v1/reconstruct", "/v1/search", "/v1/gallery/items")


def vector(client, data, **query):
    answer = client.post("/v1/embed", content=data, params=query)
    assert answer.status_code == 200, answer.text
    return np.array(answer.json()["embedding"])


def bomb(width, height):
    """A PNG whose header promises a size that nobody would decode."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + head + body + chunk(b"IEND", b"")


JPEG = encoded(ear(1), "JPEG", quality=95)
REFUSED = {
    "truncated jpeg": JPEG[: len(JPEG) // 2],
    "truncated png": png(1)[:-40],
    "not a picture": b"\x00\x01\x02\x03" * 100,
    "0 bytes": b"",
    "50,000 x 50,000": bomb(50_000, 50_000),
    "1x1": encoded(np.zeros((1, 1, 3), np.uint8)),
    "text named .jpg": b"I am a text file, whatever my name says.\n",
    "html": b"<html><body><img src=x></body></html>",
    "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
    "only a png signature": b"\x89PNG\r\n\x1a\n",
}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_picture_is_refused_with_a_reason(client, route, case):
    answer = client.post(route, files={"file": ("ear.jpg", REFUSED[case], "image/jpeg")})
    assert 400 <= answer.status_code < 500, answer.text
    error = answer.json()["error"]
    assert len(error["message"]) > 20
    assert error["code"] in ("invalid_image", "image_too_large", "image_too_small", "bad_request")


@pytest.mark.parametrize("route", ROUTES[:3])
def test_an_empty_body_is_refused(client, route):
    assert client.post(route, content=b"").status_code == 400


def test_an_animation_gives_its_first_frame(client):
    first, second = Image.fromarray(ear(1)), Image.fromarray(ear(2))
    animated = encoded(first, "WEBP", save_all=True, append_images=[second], duration=50, lossless=True)
    assert vector(client, animated) @ vector(client, png(1)) > 0.9999


def test_cmyk_16_bit_and_palette_give_the_same_ear(client):
    plain = vector(client, png(1))
    picture = Image.fromarray(ear(1))
    assert vector(client, encoded(picture.convert("CMYK"), "JPEG", quality=95)) @ plain > 0.99
    assert vector(client, encoded(picture.quantize(256))) @ plain > 0.98
    grey = picture.convert("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    assert vector(client, encoded(deep)) @ vector(client, encoded(grey)) > 0.999


def test_exif_rotation_is_applied(client):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    turned = encoded(Image.fromarray(ear(1)).transpose(Image.Transpose.ROTATE_90), "JPEG", quality=95, exif=exif)
    assert vector(client, turned) @ vector(client, JPEG) > 0.999


def test_transparency_lies_over_mid_grey(client):
    picture = np.dstack([ear(1), np.full(ear(1).shape[:2], 255, np.uint8)])
    picture[:96, :, 3] = 0
    over_grey = ear(1).copy()
    over_grey[:96] = 128
    assert vector(client, encoded(picture)) @ vector(client, encoded(over_grey)) > 0.999


def test_a_jpeg_cut_at_each_percent_never_fails_the_service(client):
    for percent in range(0, 101, 4):
        answer = client.post("/v1/embed", content=JPEG[: len(JPEG) * percent // 100])
        assert answer.status_code in (200, 400), (percent, answer.text)


def test_a_compressed_bomb_in_a_text_chunk_is_harmless(client):
    from PIL import PngImagePlugin

    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "A" * (32 << 20), zip=True)
    buffer = io.BytesIO()
    Image.fromarray(ear(1)).save(buffer, "PNG", pnginfo=info)
    answer = client.post("/v1/embed", content=buffer.getvalue())
    assert answer.status_code in (200, 400)


def test_a_picture_over_the_limits_is_named_as_such(serve):
    with serve(max_image_bytes=1000) as client:
        answer = client.post("/v1/embed", content=png(1))
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "image_too_large")
    with serve(max_pixels=100) as client:
        answer = client.post("/v1/embed", content=png(1))
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "image_too_large")


def test_one_bad_picture_among_many_is_named_by_its_place(client):
    import base64

    pictures = [base64.b64encode(data).decode() for data in (png(1), b"not a picture at all", png(2))]
    answer = client.post("/v1/embeddings", json={"input": pictures})
    assert answer.status_code == 400
    assert "input[1]" in answer.json()["error"]["message"]


@pytest.mark.parametrize("bad", ["a", "b"])
def test_the_bad_one_of_two_pictures_is_named(client, bad):
    answer = client.post("/v1/verify", files={"a": png(1), "b": png(1), bad: b"not a picture at all"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_image")
    assert answer.json()["error"]["message"].startswith(f"{bad}: ")
