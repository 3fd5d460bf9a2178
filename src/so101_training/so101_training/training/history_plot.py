"""training.png: loss, gradient norm, learning rate and times over the steps."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from so101_training.training.history import Milestone, Row

_SIZE = (9.0, 6.0)  # inches
_DPI = 110


def draw(path: Path, title: str, rows: Sequence[Row], milestones: Sequence[Milestone]) -> None:
    """Write the picture, whole or not at all. Dotted lines are checkpoints."""
    figure = Figure(figsize=_SIZE, layout='constrained')
    FigureCanvasAgg(figure)
    figure.suptitle(f'Training on {title}')
    axes = figure.subplots(2, 2, sharex=True).ravel()
    steps = [row.step for row in rows]
    panels = (
        ('loss', True, {'': [row.loss for row in rows]}),
        ('gradient norm', True, {'': [row.gradient_norm for row in rows]}),
        ('learning rate', False, {'': [row.learning_rate for row in rows]}),
        (
            'seconds of a step',
            False,
            {
                'update': [row.update_s for row in rows],
                'waiting for data': [row.data_s for row in rows],
            },
        ),
    )
    for axis, (name, logarithmic, lines) in zip(axes, panels, strict=True):
        for label, values in lines.items():
            marker = '.' if len(steps) < 50 else ''
            axis.plot(steps, values, marker=marker, linewidth=1.2, label=label)
        if logarithmic and _spans_a_decade(lines['']):
            axis.set_yscale('log')
        else:
            axis.set_ylim(bottom=0)
        if len(lines) > 1:
            axis.legend(loc='best', frameon=False)
        for milestone in milestones:
            axis.axvline(milestone.step, color='0.6', linewidth=0.8, linestyle=':')
        axis.set_title(name, loc='left', fontsize='medium')
        axis.grid(alpha=0.25)
        axis.spines[['top', 'right']].set_visible(False)
    for axis in axes[2:]:
        axis.set_xlabel('step')
        axis.xaxis.get_major_locator().set_params(integer=True)
    new = path.with_name(f'.{path.name}')
    figure.savefig(new, format='png', dpi=_DPI)
    new.replace(path)


def _spans_a_decade(values: Sequence[float]) -> bool:
    return bool(values) and 0 < 10 * min(values) < max(values)
