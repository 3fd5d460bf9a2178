from setuptools import find_packages, setup

package_name = 'so101_episodes'

setup(
    name=package_name,
    version='0.1.0',
    packages=find_packages(exclude=['test']),
    package_data={package_name: ['py.typed']},
    data_files=[
        ('share/ament_index/resource_index/packages', ['resource/' + package_name]),
        ('share/' + package_name, ['package.xml']),
        (
            'share/' + package_name + '/config',
            [
                'config/record_topics.txt',
                'config/record_qos.yaml',
                'config/play_topics.txt',
                'config/play_qos.yaml',
            ],
        ),
    ],
    install_requires=['setuptools'],
    extras_require={'test': ['pytest']},
    zip_safe=True,
    maintainer='The SO-101 ROS 2 suite maintainers',
    maintainer_email='maintainers@so101.example.org',
    description='Episodes: the recorder, sessions of rollouts and demonstrations, keys, replay.',
    license='Apache-2.0',
    entry_points={
        'console_scripts': [
            'recorder = so101_episodes.recorder_node:main',
            'salvage = so101_episodes.salvage:main',
            'replay = so101_episodes.replay_node:main',
            'session = so101_episodes.session_node:main',
            'keys = so101_episodes.keys_node:main',
        ],
    },
)
