"""The page of a user's own data is true: its table, in its first code, gives what it prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "your-data.md").read_text(encoding="utf-8")


def test_the_spreadsheet_is_read_as_the_page_says(tmp_path):
    (table,) = re.findall(r"^```csv\n(.*?)^```$", PAGE, re.M | re.S)
    (tmp_path / "faq.csv").write_bytes(b"\xef\xbb\xbf" + table.replace("\n", "\r\n").encode())
    code = "\n".join(re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)[:2])
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
    )
    text = re.sub(r"^```.*?^```$", "", PAGE, flags=re.M | re.S)
    printed = re.findall(r"(?:^    .*\n)+", text, re.M)[:2]
    expected = " ".join(textwrap.dedent("".join(printed)).split())
    assert (" ".join(done.stdout.split()), done.stderr) == (expected, "")
