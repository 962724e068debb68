"""Messages as sites and tools have written them, each with the code that it must get.

Issue threads that show a message are named under `seen`; the others are literals of yt-dlp, ffmpeg,
urllib3 and our stores, or wordings that several public tools match on.
"""

import json
from pathlib import Path
from typing import Any


def messages() -> list[dict[str, Any]]:
    path = Path(__file__).with_name("messages.jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
