"""A table document as GitHub Markdown."""

import re

from tabulate import tabulate

from uae_cli.tables.build import Block, Document


def markdown(doc: Document) -> str:
    """GitHub Markdown: a section per experiment."""
    parts = [f"## Table {doc.number}: {doc.title}"]
    for block in doc.blocks:
        parts.append(f"### {_escaped(block.title)}")
        if block.shortfalls:
            parts.append(f"**Less than full: {'; '.join(block.shortfalls)}.**")
        parts.append(_escaped(" · ".join(block.facts)))
        parts.append(_grid_markdown(block))
    parts += [_escaped(f"[{index}] {note}") for index, note in enumerate(doc.footnotes, 1)]
    parts += [_escaped(line) for line in doc.legend]
    return "\n\n".join([*parts, doc.missing] if doc.missing else parts) + "\n"


def _grid_markdown(block: Block) -> str:
    headings = [heading.replace("\n", " ") for heading in block.headings]
    cells = [[_escaped(cell) for cell in line] for line in block.lines]
    return tabulate(cells, headings, tablefmt="github", disable_numparse=True)


def _escaped(text: str) -> str:
    return re.sub(r"([\\*|\[\]<>])", r"\\\1", text).replace("_", r"\_")
