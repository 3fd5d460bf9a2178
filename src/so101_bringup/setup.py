from pathlib import Path

from setuptools import find_packages, setup

package_name = 'so101_bringup'

setup(
    name=package_name,
    version='0.1.0',
    packages=find_packages(exclude=['test']),
    package_data={package_name: ['py.typed', 'pipeline/templates/*']},
    data_files=[
        ('share/' + package_name + '/config', list(map(str, Path('config').glob('*.yaml')))),
        (
            'share/' + package_name + '/launch',
            list(map(str, Path('launch').glob('*.py'))),
        ),
        ('share/ament_index/resource_index/packages', ['resource/' + package_name]),
        ('share/' + package_name, ['package.xml']),
    ],
    install_requires=['setuptools'],
    extras_require={'test': ['pytest']},
    zip_safe=True,
    maintainer='The SO-101 ROS 2 suite maintainers',
    maintainer_email='maintainers@so101.example.org',
    description='The wiring of the suite: launch files, the so101 command, the demo.',
    license='Apache-2.0',
    entry_points={
        'console_scripts': [
            'so101 = so101_bringup.__main__:main',
            'doctor = so101_bringup.doctor.command:main',
            'robot = so101_bringup.doctor.robot_command:main',
            'udev = so101_bringup.doctor.udev_command:main',
            'pipeline = so101_bringup.pipeline.command:main',
        ],
    },
)
