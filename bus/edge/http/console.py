"""The console's files: one page at `/`, and what it names below `/assets/`.

Rule: what is served was read whole from the build, and is found by its exact name: no
path of a request ever reaches the file system. The page may load and run nothing but
these files, and nobody may frame it.
"""

import asyncio
import gzip
import hashlib
import re
import stat
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Final

import msgspec
from aiohttp import ETag, web

from bus.core.edgelimits import CONSOLE_BYTES_MAX, CONSOLE_FILES_MAX

INDEX: Final = "index.html"
ASSETS: Final = "assets"

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""The Content-Security-Policy of the page and of all it loads."""

NOT_BUILT: Final = (
    "The console is not built. In a checkout `make console` builds it, which needs npm;"
    " an installed wheel has it. The node serves everything else as usual.\n"
)

_HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
}
_TYPES: Final = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}
_FOREVER: Final = "public, max-age=31536000, immutable"  # its name changes with it
_ASK: Final = "no-cache"  # kept, and asked about each time
_NO_GZIP: Final = re.compile(r"gzip\s*;\s*q=0(\.0*)?\s*(,|$)")


class _File(msgspec.Struct, frozen=True):
    """One file as it is sent."""

    content: bytes
    zipped: bytes
    media_type: str
    etag: str
    cache: str


def built() -> Path:
    """Return the folder that the build of this installation writes to."""
    return Path(str(resources.files("bus"))) / "console" / "dist"


def add_routes(app: web.Application, folder: Path) -> None:
    """Serve the console that is built in `folder`, or say plainly that it is not.

    It is read when it is first asked for, and again only as long as it is not there.
    """
    files: dict[str, _File] = {}

    async def answer(request: web.Request) -> web.Response:
        if not files:
            files.update(await asyncio.to_thread(_read, folder))
        name = request.match_info.get("name")
        if not files and name is None:
            return web.Response(text=NOT_BUILT, status=503, headers=_HEADERS)
        found = files.get(INDEX if name is None else f"{ASSETS}/{name}")
        if found is None:
            raise web.HTTPNotFound
        return _sent(request, found)

    app.router.add_get("/", answer)
    app.router.add_get(f"/{ASSETS}/{{name}}", answer)


def _sent(request: web.Request, file: _File) -> web.Response:
    accepted = request.headers.get("Accept-Encoding", "").lower()
    zipped = "gzip" in accepted and _NO_GZIP.search(accepted) is None
    headers = {**_HEADERS, "Cache-Control": file.cache, "Vary": "Accept-Encoding"}
    # A weak tag: the same content, compressed or not.
    tag = ETag(file.etag, is_weak=True)
    known = request.if_none_match or ()
    if any(one.value in (file.etag, "*") for one in known):
        response = web.Response(status=304, headers=headers)
        response.etag = tag
        return response
    if zipped:
        headers["Content-Encoding"] = "gzip"
    response = web.Response(
        body=file.zipped if zipped else file.content,
        headers=headers,
        content_type=file.media_type,
        charset="utf-8",
    )
    response.etag = tag
    return response


def _read(folder: Path) -> Mapping[str, _File]:
    """Return what is built, by the name it is asked for; nothing if no page is there.

    Raises:
        ValueError: it is larger than a console is, or has something in it that is not
            one's.
    """
    page = folder / INDEX
    if not page.is_file():
        return {}
    assets = sorted((folder / ASSETS).iterdir())
    if len(assets) > CONSOLE_FILES_MAX:
        raise ValueError(f"{folder} has more than {CONSOLE_FILES_MAX} files")
    files = {INDEX: _file(page, _ASK)}
    for path in assets:
        files[f"{ASSETS}/{path.name}"] = _file(path, _FOREVER)
    return files


def _file(path: Path, cache: str) -> _File:
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode) or path.suffix not in _TYPES:
        raise ValueError(f"{path} is no file of a console")
    if status.st_size > CONSOLE_BYTES_MAX:
        raise ValueError(f"{path} has more than {CONSOLE_BYTES_MAX} bytes")
    content = path.read_bytes()
    return _File(
        content=content,
        zipped=gzip.compress(content, mtime=0),
        media_type=_TYPES[path.suffix],
        etag=hashlib.sha256(content).hexdigest()[:32],
        cache=cache,
    )
