from setuptools import find_packages, setup

package_name = 'so101_evaluation'

setup(
    name=package_name,
    version='0.1.0',
    packages=find_packages(exclude=['test']),
    package_data={package_name: ['py.typed', 'templates/*']},
    data_files=[
        ('share/ament_index/resource_index/packages', ['resource/' + package_name]),
        ('share/' + package_name, ['package.xml']),
    ],
    install_requires=['setuptools'],
    extras_require={'test': ['pytest']},
    zip_safe=True,
    maintainer='The SO-101 ROS 2 suite maintainers',
    maintainer_email='maintainers@so101.example.org',
    description='How good a policy is: reports, rollouts in lockstep, predictions on recordings.',
    license='Apache-2.0',
    entry_points={
        'console_scripts': [
            'open_loop = so101_evaluation.open_loop:main',
            'report = so101_evaluation.report_command:main',
            'lockstep = so101_evaluation.lockstep:main',
            'compare = so101_evaluation.compare_command:main',
            'reporter = so101_evaluation.reporter_node:main',
        ],
    },
)
