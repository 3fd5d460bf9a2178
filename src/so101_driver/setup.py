from setuptools import find_packages, setup

package_name = 'so101_driver'

setup(
    name=package_name,
    version='0.1.0',
    packages=find_packages(exclude=['test']),
    package_data={package_name: ['py.typed']},
    data_files=[
        ('share/ament_index/resource_index/packages', ['resource/' + package_name]),
        ('share/' + package_name, ['package.xml']),
    ],
    install_requires=['setuptools'],
    extras_require={'test': ['pytest']},
    zip_safe=True,
    maintainer='The SO-101 ROS 2 suite maintainers',
    maintainer_email='maintainers@so101.example.org',
    description='The Feetech servo bus of the SO-101 and the node that moves the arm.',
    license='Apache-2.0',
    entry_points={
        'console_scripts': [
            'calibrate = so101_driver.calibrate:main',
            'driver = so101_driver.driver_node:main',
            'setup_motors = so101_driver.setup_motors:main',
            'teleop = so101_driver.teleop_node:main',
        ],
    },
)
