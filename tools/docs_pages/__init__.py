"""The generated pages of `docs/`: records of what there is, and Markdown made of them."""
