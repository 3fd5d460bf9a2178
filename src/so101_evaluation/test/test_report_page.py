"""The report in a browser: whole, without errors, and nothing of it outside the window."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from so101_episodes.episode import Episode
from so101_episodes.places import grid
from so101_evaluation import report_page
from so101_evaluation.entry import Entry
from so101_evaluation.report import Report

Make = Callable[..., Episode]

CHROMIUM, DRIVER = shutil.which('chromium'), shutil.which('chromedriver')


def report(make: Make, places: int = 4, each: int = 3) -> Report:
    """Return a report of two checkpoints at each of the places, `each` episodes of both."""
    chance = np.random.default_rng(0)
    entries = []
    for checkpoint in ('train/9', 'train/10'):
        for place in grid(places):
            for _ in range(each):
                outcome = ('success', 'failure', 'unlabelled')[len(entries) % 3]
                episode = make(
                    checkpoint=checkpoint,
                    place=str(place),
                    outcome=outcome,
                    reason='missed the cube' if outcome == 'failure' else '',
                    duration_s=float(chance.uniform(5, 10)),
                    figures={
                        'tracking_rms_degrees': float(chance.uniform(0, 2)),
                        'inference_p95_ms': float(chance.uniform(80, 120)),
                        'a_figure_with_a_name_that_nobody_foresaw': 12.0,
                        'never_measured_s': None,
                    },
                )
                entries.append(Entry.of(episode, f'20260101_120000_{len(entries)}', 'folder'))
    return Report('evaluation', 'now', 'rollout', tuple(entries), {'odd': 'not JSON'}, 2)


@pytest.fixture(scope='module')
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    if not CHROMIUM or not DRIVER:
        pytest.skip('no Chromium here')
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    options = ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ('--headless=new', '--no-sandbox', '--disable-dev-shm-usage'):
        options.add_argument(argument)
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
    driver = Chrome(options, ChromeService(DRIVER))
    try:
        driver.set_window_size(1280, 900)
        yield driver
    finally:
        driver.quit()


def opened(browser: Any, path: Path, one: Report) -> None:
    path.write_text(report_page.render(one, [''] * len(one.entries)))
    browser.get(path.as_uri())


def test_the_page_is_whole_and_in_the_window(
    browser: Any, tmp_path: Path, episode_of: Make
) -> None:
    opened(browser, tmp_path / 'report.html', report(episode_of))
    assert browser.get_log('browser') == []
    find = browser.find_elements
    css = 'css selector'
    assert len(find(css, 'tr[id]')) == 24
    assert len(find(css, '.map > div')) == 4
    assert find(css, '.big')[0].text == '50 %'
    plots = find(css, '.columns table')
    assert len(plots) == 4  # the duration, and three figures that were measured
    assert all(len(plot.find_elements(css, 'a')) == 24 for plot in plots)
    wide = browser.execute_script('return document.documentElement.scrollWidth')
    assert wide <= browser.execute_script('return window.innerWidth')
    charts = browser.execute_script(
        'return [...document.querySelectorAll("svg.plot")].map(svg => svg.clientWidth)'
    )
    assert min(charts) > 150


def test_outcomes_can_be_hidden(browser: Any, tmp_path: Path, episode_of: Make) -> None:
    opened(browser, tmp_path / 'report.html', report(episode_of))
    rows = browser.find_elements('css selector', 'tr[id]')
    assert all(row.is_displayed() for row in rows)
    browser.find_element('css selector', '#show-failure').click()
    shown = {row.get_attribute('class') for row in rows if row.is_displayed()}
    assert shown == {'success', 'unlabelled'}


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_text_stands_out_from_its_ground(
    browser: Any, tmp_path: Path, episode_of: Make, scheme: str
) -> None:
    opened(browser, tmp_path / 'report.html', report(episode_of))
    features = [{'name': 'prefers-color-scheme', 'value': scheme}]
    browser.execute_cdp_cmd('Emulation.setEmulatedMedia', {'features': features})
    ink, ground = browser.execute_script(
        """
        const canvas = document.createElement('canvas').getContext('2d');
        const shown = color => { canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
                                 return [...canvas.getImageData(0, 0, 1, 1).data.slice(0, 3)]; };
        const section = getComputedStyle(document.querySelector('section:not(.warnings)'));
        return [shown(section.color), shown(section.backgroundColor)];
        """
    )
    assert contrast(ink, ground) > 7
    assert (np.mean(ground) > 128) == (scheme == 'light')


def contrast(one: list[int], other: list[int]) -> float:
    """Return the contrast ratio of WCAG 2."""

    def luminance(colour: list[int]) -> float:
        parts = np.array(colour) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ (0.2126, 0.7152, 0.0722))

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize('places', [1, 3, 5, 9, 16])
def test_places_are_where_they_are_on_the_table(episode_of: Make, places: int) -> None:
    tiles = report_page.tiles(report(episode_of, places, 1))
    assert sum(tile.width * tile.height for tile in tiles) == pytest.approx(100 * 100)
    assert all(tile.left >= -1e-9 and tile.left + tile.width <= 100 + 1e-9 for tile in tiles)
    first = next(tile for tile in tiles if tile.group.name.startswith('1 of'))
    assert (first.left, first.top) == pytest.approx((0, 0))  # the far left one


@pytest.mark.parametrize(
    'other', ['the table', '2 of 9 (under it)', '1 of 99999999 (x)', '5 of 4 (a)']
)
def test_places_that_are_no_grid_have_no_map(episode_of: Make, other: str) -> None:
    entries = [Entry.of(episode_of(place=place), 'a', 'a') for place in ('', other)]
    assert report_page.tiles(Report('', '', 'rollout', tuple(entries), {}, 0)) == []
    mixed = [*entries, Entry.of(episode_of(place='1 of 4 (far left)'), 'a', 'a')]
    assert report_page.tiles(Report('', '', 'rollout', tuple(mixed), {}, 0)) == []


@pytest.mark.parametrize('outcome', ['success', 'unlabelled'])
def test_one_episode_is_a_report(episode_of: Make, outcome: str) -> None:
    values = {'outcome': outcome, 'place': '', 'checkpoint': '', 'task': '', 'figures': {}}
    entry = Entry.of(episode_of(**values), 'a', 'a')
    text = report_page.render(Report('', '', 'rollout', (entry,), {}, 0), [''])
    assert ('>100 %<' in text) == (outcome == 'success')
    assert 'By place' not in text
