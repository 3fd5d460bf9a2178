from setuptools import find_packages, setup

package_name = 'so101_view'

setup(
    name=package_name,
    version='0.1.0',
    packages=find_packages(exclude=['test']),
    package_data={package_name: ['py.typed', 'page/*']},
    data_files=[
        ('share/ament_index/resource_index/packages', ['resource/' + package_name]),
        ('share/' + package_name, ['package.xml']),
        ('share/' + package_name + '/rviz', ['rviz/so101.rviz']),
    ],
    install_requires=['setuptools'],
    extras_require={'test': ['pytest']},
    zip_safe=True,
    maintainer='The SO-101 ROS 2 suite maintainers',
    maintainer_email='maintainers@so101.example.org',
    description='What a person looks at: the live page, RViz, and the videos of episodes.',
    license='Apache-2.0',
    entry_points={
        'console_scripts': [
            'gripper_path = so101_view.gripper_path_node:main',
            'page = so101_view.page_node:main',
            'video = so101_view.video_node:main',
        ],
    },
)
