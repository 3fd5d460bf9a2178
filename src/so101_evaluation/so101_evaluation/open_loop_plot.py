"""The picture of an open-loop run: errors over the horizon, and predictions over time."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from so101_description.joints import JOINTS
from so101_episodes.series import Series
from so101_evaluation.open_loop_figures import UNITS
from so101_evaluation.prediction_error import Prediction, PredictionError

# Chunks drawn for each checkpoint: more make one grey band.
_DRAWN = 40


def write(
    path: Path,
    recorded: Series,
    predictions: Mapping[str, Sequence[Prediction]],
    errors: Mapping[str, PredictionError],
) -> None:
    """Write a PNG, whole or not at all: a row for each joint, a colour for each checkpoint."""
    figure = Figure(figsize=(15, 16), layout='constrained')
    axes = figure.subplots(len(JOINTS), 2, sharex='col', width_ratios=(1, 2))
    colours = {label: f'C{number}' for number, label in enumerate(predictions)}
    for row, (joint, unit) in enumerate(zip(JOINTS, UNITS, strict=True)):
        over_horizon, over_time = axes[row]
        for label, error in errors.items():
            over_horizon.plot(error.over_horizon()[:, row], color=colours[label], label=label)
            _draw_chunks(over_time, row, recorded.times[0], predictions[label], colours[label])
        over_horizon.set_ylim(bottom=0)
        over_horizon.set_ylabel(f'{joint} [{unit}]')
        over_time.plot(_seconds(recorded.times, recorded.times[0]), recorded.values[:, row], 'k')
    axes[0, 0].set_title('mean absolute error over the horizon')
    axes[0, 0].legend()
    axes[0, 1].set_title('recorded (black) and predicted')
    axes[-1, 0].set_xlabel('action of the chunk')
    axes[-1, 1].set_xlabel('seconds of the episode')
    partial = path.with_suffix('.partial')
    figure.savefig(partial, format='png', dpi=100)
    partial.replace(path)


def _draw_chunks(
    axes: Axes,
    joint: int,
    start: int,
    predictions: Sequence[Prediction],
    colour: str,
) -> None:
    chosen = np.unique(np.linspace(0, len(predictions) - 1, _DRAWN).astype(int))
    lines = [
        np.column_stack([_seconds(chunk.times, start), chunk.actions[:, joint]])
        for chunk in (predictions[i] for i in chosen)
    ]
    axes.add_collection(LineCollection(lines, colors=[colour], linewidths=0.8, alpha=0.6))
    axes.autoscale_view()


def _seconds(times: np.ndarray, start: int) -> np.ndarray:
    return (times - start) * 1e-9
