"""What lies where in the folder of a pipeline; pure."""

from pathlib import Path

from so101_evaluation.report_writer import DATA, PAGE


class Folder:
    def __init__(self, out: str) -> None:
        self.path = Path(out).expanduser()
        self.ledger = self.path / 'pipeline.json'
        self.recordings = self.path / 'recordings'
        self.verdicts = self.path / 'check.json'
        self.check_page = self.path / 'check.html'
        self.dataset = self.path / 'dataset'
        self.policy = self.path / 'policy'
        self.train = self.path / 'train'
        self.rollouts = self.path / 'rollouts'
        self.earlier = self.path / 'earlier'  # what was made with other parameters
        self.page = self.path / PAGE
        self.data = self.path / DATA
