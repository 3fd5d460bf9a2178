from setuptools import find_packages, setup

package_name = 'so101_sim'

setup(
    name=package_name,
    version='0.1.0',
    packages=find_packages(exclude=['test']),
    package_data={package_name: ['py.typed']},
    data_files=[
        ('share/ament_index/resource_index/packages', ['resource/' + package_name]),
        ('share/' + package_name, ['package.xml']),
        ('share/' + package_name + '/config', ['config/calibration.json']),
    ],
    install_requires=['setuptools'],
    extras_require={'test': ['pytest']},
    zip_safe=True,
    maintainer='The SO-101 ROS 2 suite maintainers',
    maintainer_email='maintainers@so101.example.org',
    description='A MuJoCo world behind an emulated servo bus, and its cameras.',
    license='Apache-2.0',
    entry_points={
        'console_scripts': [
            'world = so101_sim.world_node:main',
            'cameras = so101_sim.cameras_node:main',
            'leader = so101_sim.leader_node:main',
        ],
    },
)
