"""Tests run in a ROS domain of their own: no graph of a person hears them, nor another run."""

import os

from hypothesis import settings

# DDS on Linux has room for domains 0 to 101; 0 is everybody's default.
os.environ['ROS_DOMAIN_ID'] = str(1 + os.getpid() % 100)
os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
os.environ['HF_HUB_OFFLINE'] = '1'

# How long an example takes says how busy the machine is, nothing about the code.
settings.register_profile('suite', deadline=None)
settings.load_profile('suite')
