"""The page of a user's own data, whose tables are the declarations in the code."""

from __future__ import annotations

from textenv.datasets import SPLITS, LoadReport
from textenv.datasets.folders import SPLIT_WORDS
from textenv.datasets.spec import RowsSpec
from tools.docs_pages.markdown import entries_of, render_page


def render_your_data() -> str:
    """Returns the page."""
    words = {split: [w for w, ours in SPLIT_WORDS.items() if ours == split] for split in SPLITS}
    return render_page(
        "your-data",
        keys=entries_of(RowsSpec).items(),
        report=entries_of(LoadReport).items(),
        split_words=words,
    )
