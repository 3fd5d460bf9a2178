"""Tables of the documentation, as the benches write them."""

from collections.abc import Callable, Mapping, Sequence


def document[T](
    tables: Mapping[str, Callable[[T], str]],
    columns: Sequence[str],
    rows: Mapping[str, Sequence[T]],
    of: str = 'method',
) -> str:
    """Return Markdown: a table a title, and in it cells of what each row has in each column.

    `of` says what the rows are of.
    """
    lines = []
    for title, cell in tables.items():
        lines += [
            f'{title}:',
            '',
            f'| {of} | {" | ".join(columns)} |',
            '|---' * (len(columns) + 1) + '|',
        ]
        for name, values in rows.items():
            lines.append(f'| {name} | {" | ".join(map(cell, values))} |')
        lines.append('')
    return '\n'.join(lines)
