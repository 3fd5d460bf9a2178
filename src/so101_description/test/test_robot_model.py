"""The robot's model is valid XML, complete, and agrees with joints, kinematics and cameras."""

import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlparse
from xml.etree import ElementTree

import numpy as np
import pytest

from so101_description.cameras import CAMERAS
from so101_description.joints import JOINTS, URDF_LIMITS
from so101_description.kinematics import BASE, LINKS, link_poses, transform
from so101_description.robot_model import urdf

Element = ElementTree.Element


@pytest.fixture(scope='module')
def robot() -> Element:
    return ElementTree.fromstring(urdf())


def child(joint: Element) -> str:
    return joint.find('child').attrib['link']  # type: ignore[union-attr]


def parent(joint: Element) -> str:
    return joint.find('parent').attrib['link']  # type: ignore[union-attr]


def origin(joint: Element) -> np.ndarray:
    attributes = joint.find('origin').attrib  # type: ignore[union-attr]
    xyz, rpy = ([float(x) for x in attributes[key].split()] for key in ('xyz', 'rpy'))
    return transform(xyz, rpy)


def test_joints_and_limits_are_those_of_the_suite(robot: Element) -> None:
    limits = {
        joint.attrib['name']: (float(limit.attrib['lower']), float(limit.attrib['upper']))
        for joint in robot.findall('joint')
        if joint.attrib['type'] == 'revolute' and (limit := joint.find('limit')) is not None
    }
    assert limits == URDF_LIMITS


def test_every_mesh_is_there(robot: Element) -> None:
    addresses = [urlparse(mesh.attrib['filename']) for mesh in robot.iter('mesh')]
    assert len(addresses) > 20
    assert {address.scheme for address in addresses} == {'file'}
    for address in addresses:
        path = Path(unquote(address.path))
        assert path.is_absolute()
        assert path.stat().st_size > 1000


def test_links_form_one_tree(robot: Element) -> None:
    links = [link.attrib['name'] for link in robot.findall('link')]
    joints = robot.findall('joint')
    assert len(set(links)) == len(links)
    assert sorted(map(child, joints)) == sorted(set(links) - {BASE})
    assert set(map(parent, joints)) <= set(links)


def test_its_own_origins_lead_to_the_poses_of_kinematics(robot: Element) -> None:
    angles = np.array([0.3, -0.4, 0.5, 0.2, -0.6, 0.7])
    expected = link_poses(angles)
    found = {BASE: np.eye(4)}
    waiting = robot.findall('joint')
    while waiting:
        joint = waiting.pop(0)
        if parent(joint) not in found:
            waiting.append(joint)
            continue
        pose = found[parent(joint)] @ origin(joint)
        if joint.attrib['name'] in JOINTS:
            assert joint.find('axis').attrib['xyz'] == '0 0 1'  # type: ignore[union-attr]
            angle = angles[JOINTS.index(joint.attrib['name'])]
            pose = pose @ transform((0, 0, 0), (0, 0, angle))
        found[child(joint)] = pose
    for link in (BASE, *LINKS):
        assert found[link] == pytest.approx(expected[link], abs=1e-9)


def test_cameras_look_where_they_should(robot: Element) -> None:
    poses = {child(joint): (parent(joint), origin(joint)) for joint in robot.findall('joint')}
    assert all(camera.frame in poses for camera in CAMERAS.values())
    link, overhead = poses[CAMERAS['overhead'].frame]
    assert link == BASE
    assert overhead[:3, 2] == pytest.approx((0, 0, -1), abs=1e-6)  # it looks straight down,
    assert overhead[:3, 1] == pytest.approx((-1, 0, 0), abs=1e-6)  # and forward is up in its image
    link, wrist = poses[CAMERAS['wrist'].frame]
    assert link == 'gripper_link'
    fingertips = np.array(LINKS['gripper_frame_link'].xyz) - wrist[:3, 3]
    assert wrist[:3, 2] @ fingertips / np.linalg.norm(fingertips) > 0.9


def test_the_command_prints_it() -> None:
    command = [sys.executable, '-m', 'so101_description.robot_model']
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == urdf() + '\n'
