"""GET / and /docs: the page and the API's documentation, from files of this machine, under a strict content policy."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import fastapi_offline
from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles

PAGE = Path(__file__).parents[1] / "page"
SWAGGER = Path(fastapi_offline.__file__).parent / "static"

router = APIRouter(include_in_schema=False)


def mount_files(app: FastAPI) -> None:
    """Serve the page's and the documentation's files."""
    app.mount("/page", StaticFiles(directory=PAGE), name="page")
    app.mount("/docs-files", StaticFiles(directory=SWAGGER), name="docs-files")


@router.get("/")
async def page(request: Request) -> FileResponse:
    """The page."""
    return FileResponse(PAGE / "index.html")


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """Swagger UI over /openapi.json."""
    root = request.scope.get("root_path", "")
    html = get_swagger_ui_html(
        openapi_url=f"{root}/openapi.json",
        title="ear-teacher API",
        swagger_js_url=f"{root}/docs-files/swagger-ui-bundle.js",
        swagger_css_url=f"{root}/docs-files/swagger-ui.css",
        swagger_favicon_url=f"{root}/docs-files/favicon.png",
    )
    scripts = re.findall(rb"<script>(.*?)</script>", bytes(html.body), re.DOTALL)
    hashes = " ".join(f"'{_hashed(script)}'" for script in scripts)
    html.headers["Content-Security-Policy"] = (
        f"default-src 'self'; script-src 'self' {hashes}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    return html


def _hashed(script: bytes) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script).digest()).decode()
