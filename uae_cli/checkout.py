"""Which commit of the code is running, when it runs from a checkout."""

import subprocess
from pathlib import Path

_ROOT = Path(__file__).parent.parent
_PATIENCE = 10.0  # seconds; on a slow network drive the record is worth no longer wait


def commit() -> str | None:
    """The commit's full hash, with "+changes" if tracked files differ from it; None when installed."""
    if not (_ROOT / ".git").exists():
        return None
    try:
        head = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{head}+changes" if changed else head


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(_ROOT), *arguments], capture_output=True, text=True, check=True, timeout=_PATIENCE
    )
    return done.stdout.strip()
