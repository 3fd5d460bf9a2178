"""Simplified meshes keep their shape and lose their faces."""

import numpy as np
import trimesh

from so101_sim.mesh import simplified

GRID = 0.002


def test_a_fine_sphere_keeps_its_size_with_a_tenth_of_its_faces() -> None:
    sphere = trimesh.creation.icosphere(subdivisions=6, radius=0.02)
    vertices, faces = simplified(sphere.vertices, sphere.faces, GRID)
    assert len(faces) < len(sphere.faces) / 10
    assert np.abs(np.linalg.norm(vertices, axis=1) - 0.02).max() < GRID * np.sqrt(3)


def test_no_face_is_degenerate_or_double() -> None:
    sphere = trimesh.creation.icosphere(subdivisions=4, radius=0.01)
    faces = simplified(sphere.vertices, sphere.faces, GRID)[1]
    corners = np.sort(faces, axis=1)
    assert (np.diff(corners, axis=1) > 0).all()
    assert len(np.unique(corners, axis=0)) == len(faces)


def test_a_coarse_mesh_stays_as_it_is() -> None:
    box = trimesh.creation.box((0.1, 0.2, 0.3))
    vertices, faces = simplified(box.vertices, box.faces, GRID)
    assert len(faces) == 12
    assert sorted(map(tuple, vertices)) == sorted(map(tuple, box.vertices))
