"""Tables of what each row has in each column: printed, and as the documentation has them."""

from collections.abc import Callable, Mapping, Sequence

from rich.console import Console
from rich.table import Table


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


def show[T](
    tables: Mapping[str, Callable[[T], str]],
    columns: Sequence[str],
    rows: Mapping[str, Sequence[T]],
    of: str = 'method',
) -> None:
    """Print the tables of `document`."""
    for title, cell in tables.items():
        table = Table(title=title, title_justify='left')
        table.add_column(of)
        for column in columns:
            table.add_column(column, justify='right')
        for name, values in rows.items():
            table.add_row(name, *map(cell, values))
        Console(width=120, markup=False).print(table)
