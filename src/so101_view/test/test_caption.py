"""The caption says which episode it is, how it goes, and what is wrong now."""

from dataclasses import replace

from so101_episodes.episode import Episode, Mark
from so101_view.caption import RECORDER, SESSION, Caption, LiveCaption, of_episode

S = 1_000_000_000
PROGRESS = {
    'state': 'running',
    'kind': 'rollout',
    'number': '3',
    'total': '5',
    'task': 'Pick up the cube',
    'outcome': '',
    'reason': '',
    'seconds': '7.4321',
}
RECORDING = {'state': 'recording', 'path': 'recordings/20260101_120000_0', 'mark': ''}


def live(*said: tuple[str, str, dict[str, str]], at: int = 0) -> Caption:
    caption = LiveCaption()
    for name, message, values in said:
        caption.hear(name, message, values, 0)
    return caption.at(at)


def test_a_running_rollout_is_named_and_its_seconds_are_counted() -> None:
    assert live((SESSION, '', PROGRESS)) == Caption(('rollout 3 of 5', 'Pick up the cube', '7 s'))


def test_an_episode_that_has_ended_shows_its_outcome_and_exact_length() -> None:
    ended = {
        **PROGRESS,
        'state': 'label',
        'seconds': '12.4',
        'outcome': 'failure',
        'reason': 'fell',
    }
    assert live((SESSION, '', ended)) == Caption(
        ('rollout 3 of 5', 'Pick up the cube', '12.4 s'), 'failure', 'fell'
    )


def test_between_episodes_the_state_is_shown() -> None:
    assert live((SESSION, '', {**PROGRESS, 'state': 'homing'})).parts[-1] == 'homing'


def test_values_that_are_missing_or_no_numbers_cost_their_part_only() -> None:
    assert live((SESSION, '', {'state': 'running'})) == Caption(('episode',))
    for seconds in ('', 'soon', 'nan', 'inf'):
        parts = live((SESSION, '', {**PROGRESS, 'seconds': seconds})).parts
        assert parts == ('rollout 3 of 5', 'Pick up the cube')


def test_without_a_session_the_recorder_names_the_episode() -> None:
    assert live((RECORDER, '', RECORDING)).parts == ('20260101_120000_0',)
    assert live((RECORDER, '', {**RECORDING, 'state': 'idle'})) == Caption()


def test_a_mark_is_shown_while_the_recorder_speaks_of_it() -> None:
    marked = {**RECORDING, 'mark': 'the overhead camera is frozen'}
    lasting = (RECORDER, 'the overhead camera is frozen; no message lost', marked)
    over = (RECORDER, '3 messages lost', marked)
    said = (SESSION, '', PROGRESS)
    assert live(said, lasting).warnings == ('the overhead camera is frozen',)
    assert live(said, over).warnings == ()


def test_what_nobody_repeats_is_forgotten() -> None:
    said = (SESSION, '', PROGRESS)
    assert live(said, at=2 * S).parts
    assert live(said, at=4 * S) == Caption()


def test_statuses_of_others_are_ignored() -> None:
    assert live(('driver/arm', 'fault', {'state': 'recording', 'mark': 'fault'})) == Caption()


def test_a_recorded_episode_counts_up_to_its_length_and_shows_marks_in_their_time() -> None:
    episode = replace(
        Episode.begun(100 * S, 'demonstration', 'Pick', '', ''),
        duration_s=10.0,
        outcome='success',
        marks=(Mark('wrist', 'black', 103 * S, 104 * S, 'the wrist camera is black'),),
    )

    def at(time: int) -> Caption:
        return of_episode(episode, '20260101_120000_0', time)

    assert at(100 * S) == Caption(
        ('demonstration 20260101_120000_0', 'Pick', '0 of 10.0 s'), 'success'
    )
    assert at(103 * S + S // 2).warnings == ('the wrist camera is black',)
    assert at(105 * S).warnings == ()
    assert at(200 * S).parts[-1] == '10 of 10.0 s'
