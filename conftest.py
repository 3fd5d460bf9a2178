"""Tests run in a ROS domain of their own: no graph of a person hears them, nor another run."""

import os

from hypothesis import settings

# DDS on Linux has room for domains 0 to 101; 0 is everybody's default. Tests that run side by side
# have one for each of their processes: gw0, gw1, ... of the one that started them.
_worker = os.environ.get('PYTEST_XDIST_WORKER', '')
_run = os.getppid() + int(_worker.removeprefix('gw')) if _worker else os.getpid()
os.environ['ROS_DOMAIN_ID'] = str(1 + _run % 100)
os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
os.environ['HF_HUB_OFFLINE'] = '1'

# How long an example takes says how busy the machine is, nothing about the code.
settings.register_profile('suite', deadline=None)
settings.load_profile('suite')
