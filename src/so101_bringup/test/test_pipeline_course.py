"""The course of a pipeline over a real folder, by commands that only write what real ones do.

They can be cut off in their middle, as by kill -9. Their outputs say what they were made of.
"""

import json
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from so101_bringup.pipeline import parameters, report, report_page, summary
from so101_bringup.pipeline.course import Course, StepFailed
from so101_bringup.pipeline.inventory import look
from so101_bringup.pipeline.parameters import Parameters
from so101_bringup.pipeline.plan import State, plan
from so101_bringup.pipeline.step import Step
from so101_episodes.episode import Episode
from so101_node.error import UserError

STEPS = [step.value for step in Step]
GIVEN = {
    'demonstration_seed': 0,
    'demonstrations': 3,
    'rollouts': 2,
    'training': {'steps': 4, 'save_freq': 2, 'batch_size': 8},
}


class Killed(Exception):
    """The machine lost its power."""


def given_(out: Path, **changed: Any) -> Parameters:
    return parameters.assemble(parameters.defaults(), GIVEN, {'out': str(out), **changed})


@dataclass
class Commands:
    """`typed`: every command, its words. `fails`: seeds whose demonstration is a failure.

    `bad`: seeds whose demonstration the check calls bad. `cut`: steps of a command, counted over
    all commands, that are still done: then the power goes. `codes`: exit codes by command.
    """

    typed: list[list[str]] = field(default_factory=list)
    fails: frozenset[int] = frozenset()
    bad: frozenset[int] = frozenset()
    cut: int | None = None
    codes: dict[str, int] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)  # everything that was ever finished
    clock: int = 1

    def __call__(self, words: Sequence[str], beat: Callable[[], object]) -> int:
        self.typed.append(list(words))
        beat()
        name = words[1] if words[0] == 'so101' else 'make'
        if name in self.codes:
            return self.codes[name]
        getattr(self, name)(*words[(2 if words[0] == 'so101' else 1) :])
        return 1 if name == 'check' and self.bad else 0

    @property
    def names(self) -> list[str]:
        return [words[1] if words[0] == 'so101' else 'make' for words in self.typed]

    def power(self) -> None:
        if self.cut is not None:
            self.cut -= 1
            if self.cut < 0:
                raise Killed

    def record(self, *words: str) -> None:
        named = dict(word.split(':=') for word in words)
        folder = Path(named['recordings'])
        (folder / '.partial').mkdir(parents=True, exist_ok=True)
        there = sum(1 for _ in folder.glob('[!.]*/episode.json'))
        for number in range(there, int(named['num_episodes'])):
            self.power()
            seed = int(named['seed']) + 1 + number
            outcome = 'failure' if seed in self.fails else 'success'
            of = f'{seed} {named["episode_time"]} {named["look"]}'
            self.episode(folder, 'demonstration', outcome, of)

    def episode(self, folder: Path, kind: str, outcome: str, of: str) -> None:
        self.clock += 1
        begun = Episode.begun(self.clock, kind, of, '', '')
        path = folder / f'2026_{self.clock:06d}'
        path.mkdir()
        replace(begun, complete=True, outcome=outcome, figures={'starved_seconds': 0.0}).save(path)
        self.made.add(of)

    def check(self, *words: str) -> None:
        folder, named = Path(words[0]), dict(zip(words[1::2], words[2::2], strict=True))
        self.power()
        episodes = []
        for number, path in enumerate(sorted(folder.glob('[!.]*'))):
            bad = int(Episode.load(path).task.split()[0]) in self.bad
            finding = {'severity': 'bad', 'text': 'it is black'}
            episodes.append(
                {
                    'number': number,
                    'name': path.name,
                    'verdict': 'bad' if bad else 'good',
                    'findings': [finding] if bad else [],
                }
            )
        Path(named['--json']).write_text(json.dumps({'so101_check': 1, 'episodes': episodes}))

    def convert(self, *words: str) -> None:
        folder, named = Path(words[0]), dict(zip(words[1::2], words[2::2], strict=True))
        out = Path(named['--out'])
        out.with_name(f'.{out.name}.partial').mkdir(exist_ok=True)
        self.power()
        assert not out.exists(), 'convert would refuse it'
        excluded = [int(number) for number in filter(None, named.get('--exclude', '').split(','))]
        paths = sorted(folder.glob('[!.]*'))
        wanted = [
            path
            for number, path in enumerate(paths)
            if number not in excluded and Episode.load(path).outcome == 'success'
        ]
        episodes = [
            {
                'source': str(path),
                'recording': str(Episode.load(path).started),
                'outcome': 'success',
                'task': Episode.load(path).task,
                'frames': 100,
            }
            for path in wanted
        ]
        others = [
            {'source': str(path), 'recording': '', 'why': 'left out'}
            for path in paths
            if path not in wanted
        ]
        codec = {'vcodec': '', 'g': 2, 'crf': 1, 'preset': '', 'width': 1, 'height': 1}
        values = {'fps': 30, 'cameras': [], 'max_age': 1, 'max_skew': 1, 'codec': codec}
        (out / 'meta').mkdir(parents=True)
        document = {'settings': values, 'episodes': episodes, 'left_out': others}
        (out / 'meta/conversion.json').write_text(json.dumps(document))

    def make(self, *words: str) -> None:
        self.power()
        *_, size, _, out = words
        assert not Path(out).exists()
        self.checkpoint(Path(out), f'random {size}')

    def checkpoint(self, folder: Path, weights: str) -> None:
        folder.mkdir(parents=True)
        (folder / 'config.json').write_text('{}')
        (folder / 'model.safetensors').write_text(weights)

    def train(self, *words: str) -> None:
        if words[0] == '--resume-from':
            out = Path(words[1])
            config = json.loads(
                (out / 'checkpoints/last/pretrained_model/train_config.json').read_text()
            )
            begun = int((out / 'checkpoints/last').readlink().name)
        else:
            out = Path(words[words.index('--out') + 1])
            dataset = Path(words[words.index('--dataset') + 1])
            entries = json.loads((dataset / 'meta/conversion.json').read_text())['episodes']
            options = dict(word.split('=') for word in words if re.match(r'[\w.]+=', word))
            policy = Path(options.pop('policy'))
            config = {
                'steps': int(options['steps']),
                'of': [entry['task'] for entry in entries],
                'from': (policy / 'model.safetensors').read_text(),
                'options': options,
            }
            assert not out.exists(), 'train would refuse it'
            self.power()
            out.mkdir()
            begun = 0
        (out / 'training.png').write_bytes(b'PNG')
        head = 'step,epoch,loss,gradient_norm,learning_rate,data_s,update_s,samples_per_s,wall_s\n'
        for step in range(begun + 1, config['steps'] + 1):
            self.power()
            folder = out / 'checkpoints' / f'{step:06d}'
            weights = json.dumps({**config, 'step': step}, sort_keys=True)
            self.checkpoint(folder / 'pretrained_model', weights)
            (folder / 'pretrained_model/train_config.json').write_text(json.dumps(config))
            (folder / 'training_state').mkdir()
            for name in ('optimizer_state.safetensors', 'rng_state.safetensors'):
                (folder / 'training_state' / name).touch()
            (folder / 'training_state/training_step.json').write_text(f'{{"step": {step}}}')
            (out / 'checkpoints/last').unlink(missing_ok=True)
            (out / 'checkpoints/last').symlink_to(folder.name)
            (out / 'training.csv').write_text(f'{head}{step},1,0.5,1,1,1,1,1,60\n')
        self.made.add(weights)

    def evaluate(self, *words: str) -> None:
        named = dict(word.split(':=') for word in words)
        folder = Path(named['recordings'])
        folder.mkdir(parents=True, exist_ok=True)
        last = Path(named['checkpoints']) / 'checkpoints/last/pretrained_model'
        weights = (last / 'model.safetensors').read_text()
        for number in range(int(named['num_rollouts'])):
            self.power()
            seed = int(named['seed']) + 1 + number
            of = f'{seed} {named["episode_time"]} {named["look"]} {named["mode"]} {weights}'
            self.episode(folder, 'rollout', 'success' if seed % 2 else 'failure', of)
        self.power()
        self.report(str(folder))

    def report(self, folder: str) -> None:
        """The suite's own: it is quick without images."""
        from so101_evaluation.report_writer import ReportWriter

        writer = ReportWriter([Path(folder)], Path(folder))
        writer.write(writer.read())


def go(chosen: Parameters, commands: Commands) -> list[str]:
    """Run a pipeline; return what it said."""
    said: list[str] = []
    Course(chosen, said.append).run(commands)
    return said


def interrupted(chosen: Parameters, commands: Commands, cut: int) -> bool:
    """Run a pipeline until the power goes after so many steps; return whether it did."""
    commands.cut = cut
    try:
        go(chosen, commands)
    except Killed:
        return True
    finally:
        commands.cut = None
    return False


def done(chosen: Parameters) -> bool:
    return all(one.done for one in plan(chosen, look(chosen)))


def tasks(folder: Path) -> list[str]:
    """Return what the episodes of a folder were made of, in their order."""
    return [Episode.load(path).task for path in sorted(folder.glob('2026*'))]


def weights(out: Path) -> dict[str, Any]:
    last = out / 'train/checkpoints/last/pretrained_model/model.safetensors'
    return json.loads(last.read_text())


def check_origin(chosen: Parameters, commands: Commands) -> None:
    """Hold all that is there against the parameters, each part against what it was made of."""
    out = Path(chosen.out)
    number, first = chosen.demonstrations, chosen.demonstration_seed + 1
    of = f'{chosen.episode_time} {chosen.look}'
    wanted = [f'{seed} {of}' for seed in range(first, first + number)]
    assert tasks(out / 'recordings')[:number] == wanted
    unfit = commands.fails | commands.bad
    trained = weights(out)
    assert trained['of'] == [text for text in wanted if int(text.split()[0]) not in unfit]
    assert trained['from'] == f'random {chosen.policy}'
    assert trained['step'] == chosen.training['steps']
    options = parameters.training_words(chosen.training)
    assert [f'{key}={text}' for key, text in trained['options'].items()] == sorted(options)
    text = json.dumps(trained, sort_keys=True)
    first = chosen.evaluation_seed + 1
    rollouts = tasks(out / 'rollouts')
    assert rollouts[: chosen.rollouts] == [
        f'{seed} {of} {chosen.mode} {text}' for seed in range(first, first + chosen.rollouts)
    ]


def check_nothing_is_lost(out: Path, commands: Commands) -> None:
    there = {Episode.load(file.parent).task for file in out.rglob('episode.json')}
    there |= {file.read_text() for file in out.rglob('model.safetensors')}
    assert commands.made <= there


CHANGES = st.fixed_dictionaries(
    {},
    optional={
        'demonstrations': st.integers(1, 4),
        'look': st.sampled_from(['fixed', 'varied']),
        'demonstration_seed': st.sampled_from([0, 100]),
        'training': st.fixed_dictionaries({}, optional={'steps': st.integers(1, 3)}),
        'policy': st.sampled_from(['small', 'tiny']),
        'rollouts': st.integers(1, 3),
        'mode': st.sampled_from(['rtc', 'sync']),
    },
)


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(events=st.lists(st.tuples(CHANGES, st.integers(0, 14)), max_size=5))
def test_whatever_was_changed_and_cut_off_it_ends_as_if_nothing_had(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[dict[str, Any], int]]
) -> None:
    out = tmp_path_factory.mktemp('pipeline') / 'out'
    out.mkdir()
    commands = Commands(fails=frozenset({2}), bad=frozenset({3}))
    chosen = given_(out)
    for changes, cut in events:
        chosen = given_(out, **changes)
        interrupted(chosen, commands, cut)
        check_nothing_is_lost(out, commands)
    go(chosen, commands)
    assert done(chosen)
    check_origin(chosen, commands)
    check_nothing_is_lost(out, commands)
    commands.typed.clear()
    go(chosen, commands)
    assert not commands.typed


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / 'out'
    folder.mkdir()
    return folder


@pytest.fixture
def finished(out: Path) -> tuple[Path, Commands]:
    """A pipeline that is done; what is typed from now on."""
    commands = Commands()
    go(given_(out), commands)
    commands.typed.clear()
    return out, commands


def test_all_of_it_once(out: Path) -> None:
    commands = Commands()
    said = go(given_(out), commands)
    assert commands.names == ['record', 'check', 'convert', 'make', 'train', 'evaluate']
    begun = [text for text in said if re.match(r'step \d of 6, \w+: [\d,]+ ', text)]
    ended = [text for text in said if re.match(r'step \d of 6, \w+: done in ', text)]
    assert [re.findall(r'\w+(?=:)', text)[0] for text in begun] == STEPS
    assert [re.findall(r'\w+(?=:)', text)[0] for text in ended] == STEPS
    assert all(shlex.join(words) in said for words in commands.typed)


@pytest.mark.parametrize(
    ('changed', 'names'),
    [
        ({}, []),
        ({'demonstrations': 2}, ['convert', 'train', 'evaluate']),
        ({'demonstrations': 4}, ['record', 'check', 'convert', 'train', 'evaluate']),
        ({'look': 'varied'}, ['record', 'check', 'convert', 'train', 'evaluate']),
        ({'episode_time': 9.0}, ['record', 'check', 'convert', 'train', 'evaluate']),
        ({'training': {'batch_size': 9}}, ['train', 'evaluate']),
        ({'policy': 'tiny'}, ['make', 'train', 'evaluate']),
        ({'mode': 'sync'}, ['evaluate']),
        ({'evaluation_seed': 500}, ['evaluate']),
        ({'rollouts': 3}, ['evaluate']),
        ({'rollouts': 1}, []),
    ],
)
def test_a_changed_parameter_makes_again_what_depends_on_it(
    finished: tuple[Path, Commands], changed: dict[str, Any], names: list[str]
) -> None:
    out, commands = finished
    said = go(given_(out, **changed), commands)
    assert commands.names == names
    check_nothing_is_lost(out, commands)
    # What went out of the way is named, and is where that says.
    gone = [re.fullmatch(r'(\S+) is now (\S+); .*', text) for text in said]
    aside = {Path(found[2]) for found in gone if found}
    assert aside == set(out.glob('earlier/*'))


def test_a_checkpoint_without_weights_is_no_start(out: Path, tmp_path: Path) -> None:
    given = tmp_path / 'mine'
    given.mkdir()
    (given / 'config.json').write_text('{}')
    commands = Commands()
    with pytest.raises(UserError, match=r'no model\.safetensors in it'):
        go(given_(out, policy=str(given)), commands)
    assert not commands.typed


def test_more_rollouts_are_added_to_those_there_from_other_starts(
    finished: tuple[Path, Commands],
) -> None:
    out, commands = finished
    go(given_(out, rollouts=5), commands)
    (words,) = commands.typed
    assert {'num_rollouts:=3', 'seed:=1000002', 'places:=0'} <= set(words)
    assert len({text.split()[0] for text in tasks(out / 'rollouts')}) == 5


@pytest.mark.parametrize(
    ('gone', 'names'),
    [
        ('check.json', ['check']),
        ('dataset/meta/conversion.json', ['convert']),
        ('policy/config.json', ['make']),
        ('train/checkpoints/last', ['train']),
        ('rollouts/report.json', ['report']),
    ],
)
def test_a_step_is_known_by_what_it_left_not_by_its_note(
    finished: tuple[Path, Commands], gone: str, names: list[str]
) -> None:
    out, commands = finished
    (out / gone).unlink()
    go(given_(out), commands)
    # Made again it has the same content, so what was made of it stays.
    assert commands.names == names
    assert done(given_(out))


def test_another_dataset_in_its_place_is_noticed(finished: tuple[Path, Commands]) -> None:
    out, commands = finished
    file = out / 'dataset/meta/conversion.json'
    document = json.loads(file.read_text())
    document['episodes'][0]['task'] = 'another'
    file.write_text(json.dumps(document))
    assert 'made again: the dataset changed' in '\n'.join(go(given_(out), commands))
    assert commands.names == ['train', 'evaluate']


def test_what_no_pipeline_made_is_left_alone(out: Path) -> None:
    (out / 'recordings/mine').mkdir(parents=True)
    with pytest.raises(UserError, match='step demonstrate writes, and no pipeline made it'):
        go(given_(out), commands := Commands())
    assert not commands.typed and (out / 'recordings/mine').exists()


@pytest.mark.parametrize(('name', 'code'), [('record', 1), ('check', 2), ('train', -9)])
def test_a_command_that_fails_ends_the_pipeline(out: Path, name: str, code: int) -> None:
    commands = Commands(codes={name: code})
    with pytest.raises(StepFailed, match=r'step \d of 6, .* what it said stands above'):
        go(given_(out), commands)
    assert commands.names[-1] == name
    commands.codes.clear()
    go(given_(out), commands)
    check_origin(given_(out), commands)


def test_a_command_that_ends_well_without_its_work_is_not_believed(out: Path) -> None:
    with pytest.raises(StepFailed, match='ended too early: to do: 3 demonstrations'):
        go(given_(out), Commands(codes={'record': 0}))


def test_a_check_that_fails_is_not_one_that_finds_something_bad(out: Path) -> None:
    with pytest.raises(StepFailed, match='step 2 of 6, check, ended with 1'):
        go(given_(out), Commands(codes={'check': 1}))


def test_without_a_demonstration_to_train_on_it_ends(out: Path) -> None:
    commands = Commands(fails=frozenset({1, 2}), bad=frozenset({3}))
    with pytest.raises(UserError, match=r'none of the demonstrations .*: failure; it is black'):
        go(given_(out), commands)
    # More of them are a way on.
    go(given_(out, demonstrations=4), commands)
    check_origin(given_(out, demonstrations=4), commands)


def test_a_policy_that_is_named_is_not_made(out: Path, tmp_path: Path) -> None:
    commands = Commands()
    commands.checkpoint(tmp_path / 'mine', 'mine')
    chosen = given_(out, policy=str(tmp_path / 'mine'))
    go(chosen, commands)
    assert commands.names == ['record', 'check', 'convert', 'train', 'evaluate']
    assert weights(out)['from'] == 'mine'
    # Other weights in that folder are another policy.
    (tmp_path / 'mine/model.safetensors').write_text('others')
    assert [one.state for one in plan(chosen, look(chosen))][-2:] == [State.AGAIN, State.FOLLOWS]


def test_the_time_of_a_step_outlives_its_end(out: Path) -> None:
    chosen = given_(out)
    assert interrupted(chosen, Commands(), 1)
    before = look(chosen).noted[Step.DEMONSTRATE].seconds
    assert before > 0
    commands = Commands(clock=10)
    go(chosen, commands)
    entry = look(chosen).noted[Step.DEMONSTRATE]
    assert entry.seconds > before
    assert len(entry.commands) == 1  # the same again


def test_the_report_says_what_was_kept_and_why_not_the_others(out: Path) -> None:
    chosen = given_(out, demonstrations=4)
    go(chosen, Commands(fails=frozenset({2}), bad=frozenset({3})))
    made = report.build(chosen, look(chosen))
    shown = made.to_json()
    assert shown['demonstrations'] == {
        'recorded': 4,
        'succeeded': 3,
        'kept': 2,
        'left_out': {'2026_000003': 'failure', '2026_000004': 'it is black'},
    }
    assert shown['dataset'] == {'episodes': 2, 'frames': 200}
    assert (shown['evaluation']['successes'], shown['evaluation']['rate']) == (1, 0.5)
    assert [step['name'] for step in shown['steps']] == STEPS
    assert json.dumps(shown)

    page = report_page.render(made, 'data:image/png;base64,')
    for text in ('it is black', 'Wilson', 'rollouts/report.html', 'so101 train --dataset'):
        assert text in page
    said = '\n'.join(summary.lines(made))
    for text in ('4 recorded, 3 succeeded, 2 trained on; 2 left out', '1 of 2 rollouts, 50 %'):
        assert text in said
