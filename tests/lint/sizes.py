# SPDX-License-Identifier: Apache-2.0
"""Sizes of files and functions: budgets are looked at, walls fail."""

import statistics

FILE_WALL = 600
FILE_BUDGET = 500
FUNCTION_WALL = 150
FUNCTION_BUDGET = 60
INDENT_BUDGET = 5  # levels


def functions(text):
    """(line, length) of each function whose braces stand in the first column."""
    start = None
    for number, line in enumerate(text.split("\n"), 1):
        if line == "{":
            start = number
        elif line.startswith("}") and start:
            yield start, number - start + 1
            start = None


def look(files):
    """files: (path, text). Returns (what fails, a report)."""
    wrong, notes, lengths, sizes = [], [], [], []
    for path, text in files:
        lines = text.count("\n")
        sizes.append(lines)
        if lines > FILE_WALL:
            wrong.append(f"{path}: {lines} lines, {FILE_WALL} at most")
        elif lines > FILE_BUDGET:
            notes.append(f"{path}: {lines} lines")
        for number, length in functions(text):
            lengths.append(length)
            if length > FUNCTION_WALL:
                wrong.append(f"{path}:{number}: a function of {length} lines, {FUNCTION_WALL} at most")
            elif length > FUNCTION_BUDGET:
                notes.append(f"{path}:{number}: a function of {length} lines")
        for number, line in enumerate(text.split("\n"), 1):
            if line.startswith("\t" * (INDENT_BUDGET + 1)) and line[INDENT_BUDGET + 1:INDENT_BUDGET + 2] not in "\t *":
                notes.append(f"{path}:{number}: {INDENT_BUDGET + 1} levels of indentation")
    if lengths and sizes:
        cut = statistics.quantiles(lengths, n=10)[-1] if len(lengths) > 1 else lengths[0]
        notes.append(f"{len(sizes)} files, median {statistics.median(sizes):.0f} lines; {len(lengths)} functions, "
                     f"median {statistics.median(lengths):.0f}, p90 {cut:.0f}, longest {max(lengths)}")
    return wrong, notes
