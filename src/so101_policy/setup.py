from pathlib import Path

from setuptools import find_packages, setup

package_name = 'so101_policy'

setup(
    name=package_name,
    version='0.1.0',
    packages=find_packages(exclude=['test']),
    package_data={package_name: ['py.typed']},
    data_files=[
        ('share/ament_index/resource_index/packages', ['resource/' + package_name]),
        ('share/' + package_name, ['package.xml']),
        *(
            (f'share/{package_name}/{folder}', [str(f) for f in folder.iterdir() if f.is_file()])
            for folder in sorted(Path('checkpoints').glob('*/**/'))
        ),
    ],
    install_requires=['setuptools'],
    extras_require={'test': ['pytest']},
    zip_safe=True,
    maintainer='The SO-101 ROS 2 suite maintainers',
    maintainer_email='maintainers@so101.example.org',
    description='LeRobot policy checkpoints on ROS topics: observation, inference, schedule.',
    license='Apache-2.0',
    entry_points={
        'console_scripts': [
            'policy = so101_policy.policy_node:main',
            'inference = so101_policy.inference_node:main',
            'make_smolvla = so101_policy.untrained_smolvla:main',
        ],
    },
)
