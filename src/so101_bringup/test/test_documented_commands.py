"""Each command of the documentation that needs neither a robot nor an installation is executed.

They are typed in a folder that looks like the repository, as a newcomer would: README from top to
bottom, which is the whole loop of recording, conversion, checks, training and rollouts, then the
other documents. A command that stands in two of them is typed once. They are the documented
commands but for how much they do: shorter episodes, fewer steps, so that all of it takes minutes.
"""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import tables
from blocks import Block, blocks

pytestmark = [pytest.mark.alone, pytest.mark.timeout(600)]

# What following the documentation makes; it is not the repository's.
MADE = ('build', 'datasets', 'outputs', 'recordings', 'robot.yaml', 'rollouts')

# What the graphs do less of, and a train that takes seconds.
GRAPH = {
    'num_episodes': '2',
    'num_rollouts': '1',
    'episode_time': '2.0',
    'reset_time': '0.2',
    'direct_reset': 'true',
    'page': 'false',
}
TRAINING = 'steps=2 save_freq=2 log_freq=1 batch_size=4 num_workers=1'
RESUMED = 'steps=4'


def typed(document: Path) -> list[Block]:
    """Return the blocks of a document that can be typed here."""
    return [one for one in blocks(document) if one.language == 'bash' and not one.needs]


README = tables.ROOT / 'README.md'
OTHERS = [one for one in tables.documents() if one != README and typed(one)]


class Newcomer:
    """Types the commands of documents in a folder, each once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._typed: set[str] = set()
        for file in tables.ROOT.iterdir():
            if file.name not in MADE and not file.name.startswith('.git'):
                (folder / file.name).symlink_to(file)

    def follow(self, document: Path) -> None:
        """Type what a document says; fail with what a command said that failed."""
        for block in typed(document):
            for line in block.text.replace('\\\n', ' ').splitlines():
                command = re.sub(r'(^| +)#.*', '', line)
                if command and command not in self._typed:
                    self._typed.add(command)
                    self.type(command, str(block))

    def type(self, command: str, where: str) -> None:
        ended = subprocess.run(
            ['bash', '-euo', 'pipefail', '-c', _smaller(command, self.folder / 'arm')],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            env={**os.environ, 'COLUMNS': '200'},
        )
        if ended.returncode:
            pytest.fail(f'{where}: {command}\n{ended.stdout}', pytrace=False)


def _smaller(command: str, sim_port: Path) -> str:
    """Return the command that does the same with less, within seconds."""
    words = command.split()
    if words[0] != './so101':
        return command
    if words[1] in tables.GRAPHS:
        known = {argument.name for argument in tables.GRAPHS[words[1]].arguments}
        less = {**GRAPH, 'sim_port': str(sim_port)}
        return ' '.join([command, *(f'{key}:={less[key]}' for key in less if key in known)])
    if words[1] == 'train':
        less = RESUMED if '--resume-from' in words else TRAINING
        return f'{re.sub(r" steps=[0-9]+", "", command)} {less}'
    # Of demonstrations of two seconds one may be bad, which is the exit code 1.
    return f'{command} || [ $? = 1 ]' if words[1] == 'check' else command


@pytest.fixture(scope='module')
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Newcomer:
    """Return one who has followed README."""
    newcomer = Newcomer(tmp_path_factory.mktemp('newcomer'))
    newcomer.follow(README)
    return newcomer


def test_who_follows_the_readme_has_a_policy_that_moves_the_arm(newcomer: Newcomer) -> None:
    newcomer.type('./so101 check datasets/cube --json verdicts.json', 'here')
    verdicts = json.loads((newcomer.folder / 'verdicts.json').read_text())
    found = {f['check'] for e in verdicts['episodes'] for f in e['findings']}
    assert not found & {'integrity', 'black', 'torn', 'units', 'statistics', 'task', 'limits'}
    assert (newcomer.folder / 'datasets/cube_check.html').stat().st_size > 10_000

    checkpoint = newcomer.folder / 'outputs/train/checkpoints/last/pretrained_model'
    note = json.loads((checkpoint / 'so101.json').read_text())
    assert note['trained'] and note['fps'] == 30

    episodes = [
        json.loads(file.read_text())
        for name in ('recordings', 'rollouts')
        for file in sorted((newcomer.folder / name).glob('2*/episode.json'))
    ]
    assert [episode['kind'] for episode in episodes] == 2 * ['demonstration'] + ['rollout']
    assert all(episode['complete'] for episode in episodes)
    assert episodes[-1]['topics']['/policy/action_chunk']['messages'] > 0


@pytest.mark.parametrize(
    'document', OTHERS, ids=lambda document: str(document.relative_to(tables.ROOT))
)
def test_the_commands_of_a_document_work(newcomer: Newcomer, document: Path) -> None:
    newcomer.follow(document)
