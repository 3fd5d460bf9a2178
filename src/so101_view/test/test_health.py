"""The worst comes first, and who falls silent is said to be silent."""

from types import SimpleNamespace

from so101_view.health import ERROR, OK, SILENCE, SILENT, WARN, Health


def status(name: str, level: int, message: str = '', **values: str) -> SimpleNamespace:
    pairs = [SimpleNamespace(key=key, value=value) for key, value in values.items()]
    return SimpleNamespace(name=name, level=bytes([level]), message=message, values=pairs)


def test_the_worst_comes_first_then_by_name() -> None:
    health = Health()
    health.add([status('b', OK), status('a', OK), status('c', WARN), status('d', ERROR)], now=0)
    assert [row['name'] for row in health.report(now=1)] == ['d', 'c', 'a', 'b']


def test_the_latest_of_each_name_counts() -> None:
    health = Health()
    health.add([status('arm', ERROR, 'stopped')], now=0)
    health.add([status('arm', OK, 'active', state='active')], now=1)
    assert health.report(now=2) == [
        {'name': 'arm', 'level': OK, 'message': 'active', 'values': {'state': 'active'}}
    ]


def test_silence_is_told_with_the_last_words() -> None:
    health = Health()
    health.add([status('arm', OK, 'active')], now=0)
    health.add([status('policy', WARN, 'late')], now=SILENCE)
    assert health.report(now=SILENCE)[1]['level'] == OK
    arm, policy = health.report(now=SILENCE + 1)
    assert (arm['name'], arm['level']) == ('arm', SILENT)
    assert arm['message'] == 'silent for 3 s; last: active'
    assert policy['level'] == WARN


def test_an_unknown_level_is_not_taken_for_a_good_one() -> None:
    health = Health()
    health.add([status('strange', 77)], now=0)
    assert health.report(now=0)[0]['level'] == SILENT
