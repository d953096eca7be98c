"""A table document as a LaTeX table in the style of booktabs."""

import re

from uae_cli.tables.build import Block, Document

_TEX = {
    **{sign: rf"\{sign}" for sign in "&%$#_{}"},
    **{
        "±": r"$\pm$",
        "−": "$-$",
        "–": "--",
        "·": r"$\cdot$",
        "†": r"$^\dagger$",
        "*": "$^*$",
        "×": r"$\times$",
    },
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"δ": r"$\delta$", "ε": r"$\varepsilon$", "α": r"$\alpha$", "β": r"$\beta$", "<": "$<$", ">": "$>$"},
    **{"\n": " ", "[": "{[}", "]": "{]}"},  # a line break takes a bare [ or * for its own
}


def latex(doc: Document) -> str:
    r"""One `table` environment in the style of booktabs (needs `\usepackage{booktabs}`)."""
    lines = [r"\begin{table}", r"  \centering", r"  \footnotesize"]
    lines.append(rf"  \caption{{Table {doc.number} of the paper: {_tex(doc.title)}.}}")
    width = max(len(block.headings) for block in doc.blocks)
    lines += [rf"  \begin{{tabular}}{{l{'r' * (width - 1)}}}", r"    \toprule"]
    for index, block in enumerate(doc.blocks):
        lines += [r"    \midrule"] if index else []
        lines += _latex_block(block, width)
    lines += [r"    \bottomrule", r"  \end{tabular}", r"", r"  \smallskip", r"  \raggedright"]
    notes = [f"[{index}] {note}" for index, note in enumerate(doc.footnotes, 1)]
    lines += [rf"  {_tex(line)}\\" for line in (*notes, *doc.legend)]
    lines += [rf"  {_tex(doc.missing)}"] if doc.missing else []
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _latex_block(block: Block, width: int) -> list[str]:
    heading = rf"\textbf{{{_tex(block.title)}}}"
    rows = [heading]
    if block.shortfalls:
        rows.append(rf"\textbf{{Less than full: {_tex('; '.join(block.shortfalls))}}}")
    rows.append(_tex(" · ".join(block.facts)))
    lines = [rf"    \multicolumn{{{width}}}{{l}}{{{row}}} \\" for row in rows]
    lines.append("    " + " & ".join(_tex(heading) for heading in block.headings) + r" \\")
    lines.append(r"    \midrule")
    return lines + ["    " + " & ".join(_tex(cell) for cell in line) + r" \\" for line in block.lines]


def _tex(text: str) -> str:
    plain = "".join(_TEX.get(character, character) for character in text)
    return re.sub(r"`([^`]*)`", r"\\texttt{\1}", plain)
