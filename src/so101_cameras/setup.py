from setuptools import find_packages, setup

package_name = 'so101_cameras'

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
    description='Cameras without a ROS driver, their images as numpy arrays and ROS messages.',
    license='Apache-2.0',
    entry_points={
        'console_scripts': [
            'camera = so101_cameras.camera_node:main',
            'controls = so101_cameras.controls_node:main',
            'image_health = so101_cameras.image_health_node:main',
        ],
    },
)
