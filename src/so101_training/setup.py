from setuptools import find_packages, setup

package_name = 'so101_training'

setup(
    name=package_name,
    version='0.1.0',
    packages=find_packages(exclude=['test']),
    package_data={package_name: ['py.typed', 'checks/templates/*', 'training/templates/*']},
    data_files=[
        ('share/ament_index/resource_index/packages', ['resource/' + package_name]),
        ('share/' + package_name, ['package.xml']),
        ('share/' + package_name + '/config', ['config/train.yaml']),
    ],
    install_requires=['setuptools'],
    extras_require={'test': ['pytest']},
    zip_safe=True,
    maintainer='The SO-101 ROS 2 suite maintainers',
    maintainer_email='maintainers@so101.example.org',
    description='Episodes to a LeRobot dataset, its checks, and training on it.',
    license='Apache-2.0',
    entry_points={
        'console_scripts': [
            'convert = so101_training.convert:main',
            'check = so101_training.check:main',
            'train = so101_training.train:main',
        ],
    },
)
