from pathlib import Path

import cv2
import pytest

from so101_training.training import history_plot
from so101_training.training.history import Milestone, Row


@pytest.mark.parametrize('count', [0, 1, 200])
def test_the_picture_is_written_whole(tmp_path: Path, count: int) -> None:
    rows = [
        Row(step, step / 9, 10 / step, 1.0, 1e-4, 0.1, 1.2, 50.0, step * 1.3)
        for step in range(1, count + 1)
    ]
    path = tmp_path / 'training.png'
    history_plot.draw(path, 'cube', rows, [Milestone(100, 0.1, 1.0, 1e-4, 130.0)])
    picture = cv2.imread(str(path))
    assert picture is not None
    assert picture.shape[:2] == (660, 990)
    assert list(tmp_path.iterdir()) == [path]
