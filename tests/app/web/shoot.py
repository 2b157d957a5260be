"""Write docs/page.png: the page as it is, over the handbook, with one citation open. ``make screenshot`` runs it."""

import argparse
import struct
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright

from app.core.config import load_settings
from ingest.build import build
from tests.serving import in_thread

ROOT = Path(__file__).parents[3]
QUESTION = "What happens when a client goes away during a stream?"
_COLOURS = 256


def shoot(url: str) -> bytes:
    """Ask, open the second citation, and return what Chromium drew."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1360, "height": 850}, color_scheme="light", reduced_motion="reduce")
        page.goto(url)
        page.fill("#question", QUESTION)
        page.press("#question", "Enter")
        page.wait_for_selector(".answer[data-state=answered]")
        page.click(".prose .cite[data-n='2']")
        page.wait_for_selector("#source-text mark")
        page.evaluate("document.fonts.ready")
        page.mouse.move(0, 849)
        drawn = page.screenshot(animations="disabled", caret="hide")
        browser.close()
    return drawn


def fewer_colours(png: bytes) -> bytes:
    """Return the picture with a palette: text on plain ground needs no more, and takes half the bytes."""
    pixels = _pixels(png)
    height, width, _ = pixels.shape
    flat = pixels.reshape(-1, 3).astype(np.int32)
    found, where, counts = np.unique(flat @ [1 << 16, 1 << 8, 1], return_inverse=True, return_counts=True)
    every = np.stack([found >> 16, found >> 8 & 255, found & 255], axis=1)
    palette = every[np.argsort(-counts)[:_COLOURS]]
    nearest = ((every[:, None] - palette[None]) ** 2).sum(axis=2).argmin(axis=1)
    rows = nearest[where].reshape(height, width).astype(np.uint8)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = ((b"IHDR", head), (b"PLTE", palette.astype(np.uint8).tobytes()), (b"IDAT", zlib.compress(raw, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _pixels(png: bytes) -> np.ndarray:
    """Decode what Chromium writes: eight bits a channel, not interlaced."""
    at, packed, width, height, channels = 8, b"", 0, 0, 3
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        data = png[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, height, _, colour = struct.unpack(">IIBB", data[:10])
            channels = {2: 3, 6: 4}[colour]
        packed += data if kind == b"IDAT" else b""
        at += 12 + length
    lines = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, 1 + width * channels)
    out = np.zeros((height, width * channels), np.uint8)
    for y, (kind, line) in enumerate(zip(lines[:, 0], lines[:, 1:], strict=True)):
        out[y] = _unfiltered(int(kind), line, out[y - 1] if y else np.zeros_like(out[0]), channels)
    return out.reshape(height, width, channels)[:, :, :3]


def _unfiltered(kind: int, line: np.ndarray, above: np.ndarray, step: int) -> np.ndarray:
    if kind == 0:
        return line
    if kind == 2:
        return line + above
    done, up, new = [0] * step, [0] * step + above.tolist(), line.tolist()
    for i, value in enumerate(new):
        left, over, corner = done[i], up[i + step], up[i]
        if kind == 1:
            guess = left
        elif kind == 3:
            guess = (left + over) // 2
        else:
            a, b, c = abs(over - corner), abs(left - corner), abs(left + over - 2 * corner)
            guess = left if a <= b and a <= c else over if b <= c else corner
        done.append((value + guess) & 255)
    return np.array(done[step:], np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, nargs="?", default=ROOT / "docs/page.png")
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as home:
        settings = load_settings(
            {"CITEWELL_HOME": home, "CITEWELL_INDEXES_DIR": f"{home}/indexes", "CITEWELL_LOG_LEVEL": "ERROR"}
        )
        build(ROOT / "docs/handbook", collection="docs", settings=settings)
        with in_thread(settings) as client:
            drawn = shoot(str(client.base_url))
    smaller = fewer_colours(drawn)
    out.write_bytes(min(drawn, smaller, key=len))
    sys.stdout.write(f"{out}: {out.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
