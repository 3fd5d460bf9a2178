from importlib.metadata import version

from setuptools import find_packages, setup

package_name = 'so101_node'

# Which Fast DDS the ROS 2 has that this is built for; as in so101_node/dds.py.
fast_dds = 2 if int(version('rclpy').split('.')[0]) < 8 else 3

setup(
    name=package_name,
    version='0.1.0',
    packages=find_packages(exclude=['test']),
    package_data={package_name: ['py.typed']},
    data_files=[
        ('share/ament_index/resource_index/packages', ['resource/' + package_name]),
        ('share/' + package_name, ['package.xml']),
        ('share/' + package_name + '/config', ['config/fastdds_2.xml', 'config/fastdds_3.xml']),
        ('share/' + package_name + '/hook', [f'hook/fastdds_{fast_dds}/dds.dsv']),
    ],
    install_requires=['setuptools'],
    extras_require={'test': ['pytest']},
    zip_safe=True,
    maintainer='The SO-101 ROS 2 suite maintainers',
    maintainer_email='maintainers@so101.example.org',
    description='What every node of the suite is made of: parameters, QoS, diagnostics, exits.',
    license='Apache-2.0',
)
