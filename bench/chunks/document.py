"""The tables of docs/chunking.md, as the benches write them."""

from collections.abc import Callable, Mapping, Sequence


def document[T](
    tables: Mapping[str, Callable[[T], str]],
    columns: Sequence[str],
    rows: Mapping[str, Sequence[T]],
) -> str:
    """Return Markdown: a table a title, a row a method, cells of what it has in each column."""
    lines = []
    for title, cell in tables.items():
        lines += [
            f'{title}:',
            '',
            f'| method | {" | ".join(columns)} |',
            '|---' * (len(columns) + 1) + '|',
        ]
        for method, values in rows.items():
            lines.append(f'| {method} | {" | ".join(map(cell, values))} |')
        lines.append('')
    return '\n'.join(lines)
