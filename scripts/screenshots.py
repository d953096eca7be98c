"""Pictures of results/paper.html, phone and desktop: python scripts/screenshots.py (needs chromium)."""

import subprocess
import tempfile
from pathlib import Path

from PIL import Image

PAGE = Path("results/paper.html").resolve()
VIEWS = {(390, 844): "#4-1", (1280, 1500): ""}  # the first block of Table 4; the top

for (width, height), anchor in VIEWS.items():
    target = PAGE.with_name(f"paper_{width}.png")
    with tempfile.TemporaryDirectory() as folder:
        frame = Path(folder) / "frame.html"  # chromium's own window is never narrower than 500 pixels
        size = f"border:0;width:{width}px;height:{height}px"
        frame.write_text(f'<body style="margin:0"><iframe src="{PAGE.as_uri()}{anchor}" style="{size}">')
        call = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        call += ["--force-prefers-reduced-motion", "--virtual-time-budget=20000", f"--screenshot={target}"]
        subprocess.run([*call, f"--window-size={max(width, 500)},{height}", frame.as_uri()], check=True)
    with Image.open(target) as whole:
        picture = whole.crop((0, 0, width, height)).convert("RGB").quantize(128)
    picture.save(target, optimize=True)
