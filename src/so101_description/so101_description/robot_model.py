"""The robot's model: the URDF of the so101-nexus package, with its meshes and our cameras.

The command `robot_description` prints it.
"""

from xml.etree import ElementTree

from so101_nexus import get_so101_simulation_dir

from so101_description.cameras import CAMERAS


def urdf() -> str:
    """Return the URDF: meshes by absolute file:// addresses, a fixed frame for each camera.

    Raises FileNotFoundError when a mesh that it names is not installed.
    """
    folder = get_so101_simulation_dir()
    robot = ElementTree.parse(folder / 'so101_new_calib.urdf').getroot()
    for mesh in robot.iter('mesh'):
        mesh.set('filename', (folder / mesh.attrib['filename']).resolve(strict=True).as_uri())
    for transmission in robot.findall('transmission'):  # ROS 1's; nothing reads them here
        robot.remove(transmission)
    for name, camera in CAMERAS.items():
        ElementTree.SubElement(robot, 'link', name=camera.frame)
        joint = ElementTree.SubElement(robot, 'joint', name=f'{name}_camera', type='fixed')
        ElementTree.SubElement(joint, 'origin', xyz=_text(camera.xyz), rpy=_text(camera.rpy))
        ElementTree.SubElement(joint, 'parent', link=camera.link)
        ElementTree.SubElement(joint, 'child', link=camera.frame)
    ElementTree.indent(robot)
    return ElementTree.tostring(robot, encoding='unicode', xml_declaration=True)


def _text(values: tuple[float, ...]) -> str:
    return ' '.join(f'{value:.9g}' for value in values)


def main() -> None:
    print(urdf())


if __name__ == '__main__':
    main()
