"""An episode's pictures, and what is said of a bag that has none."""

from collections.abc import Callable
from pathlib import Path

import pytest

from so101_cameras.image import from_jpeg
from so101_episodes.episode import Episode
from so101_evaluation.filmstrip import HEIGHT, WIDTH, filmstrip
from so101_node.error import UserError

Write = Callable[..., Episode]


def colours(strip: bytes | None) -> str:
    """Name the three images' colours."""
    assert strip is not None
    pixels = from_jpeg(strip)
    assert pixels.shape == (HEIGHT, 3 * WIDTH, 3)
    middles = [pixels[HEIGHT // 2, round((column + 0.5) * WIDTH)] for column in range(3)]
    return ''.join('rgb'[int(middle.argmax())] for middle in middles)


@pytest.mark.parametrize(
    ('images', 'seen'), [(1, 'rrr'), (2, 'rgg'), (3, 'rgb'), (11, 'rbg'), (12, 'rrb')]
)
def test_the_first_the_middle_and_the_last_image_are_seen(
    tmp_path: Path, write_episode: Write, images: int, seen: str
) -> None:
    episode = write_episode(tmp_path / 'episode', images)
    assert colours(filmstrip(tmp_path / 'episode', episode)) == seen


def test_the_only_camera_will_do(tmp_path: Path, write_episode: Write) -> None:
    topic = '/wrist_camera/color/image_raw/compressed'
    episode = write_episode(tmp_path / 'episode', topic=topic)
    assert colours(filmstrip(tmp_path / 'episode', episode)) == 'rgb'


def test_an_episode_without_images_has_no_pictures(
    tmp_path: Path, write_episode: Write, episode_of: Callable[..., Episode]
) -> None:
    assert filmstrip(tmp_path, episode_of()) is None
    assert filmstrip(tmp_path / 'episode', write_episode(tmp_path / 'episode', 0)) is None


@pytest.mark.parametrize('part', [0, 0.3, 0.9])
def test_a_bag_that_was_cut_is_said_to_be_broken(
    tmp_path: Path, write_episode: Write, part: float
) -> None:
    episode = write_episode(tmp_path / 'episode')
    bag = tmp_path / 'episode' / 'episode.mcap'
    bag.write_bytes(bag.read_bytes()[: round(part * 12_000)])
    with pytest.raises(UserError, match=r'broken.*copy it again'):
        filmstrip(tmp_path / 'episode', episode)


def test_a_bag_that_is_gone_is_said_to_be_broken(tmp_path: Path, write_episode: Write) -> None:
    episode = write_episode(tmp_path / 'episode')
    (tmp_path / 'episode' / 'episode.mcap').unlink()
    with pytest.raises(UserError, match=r'broken.*image 3 of 3'):
        filmstrip(tmp_path / 'episode', episode)


def test_an_image_that_is_none_is_said_to_be_broken(tmp_path: Path, write_episode: Write) -> None:
    episode = write_episode(tmp_path / 'episode')
    bag = tmp_path / 'episode' / 'episode.mcap'
    bag.write_bytes(bag.read_bytes().replace(b'\xff\xd8\xff', b'\x00\x00\x00'))
    with pytest.raises(UserError, match='not a JPEG'):
        filmstrip(tmp_path / 'episode', episode)
