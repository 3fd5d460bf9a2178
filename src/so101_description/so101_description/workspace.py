"""Where objects are put for the arm; metres in the arm's base frame: x forward, y left."""

# The square in which a cube is put, all of it within the arm's easy reach. Over 10 cm, 75
# demonstrations were enough to learn from; over 30 cm, 50 were not.
SQUARE_CENTRE = (0.26, 0.0)
SQUARE_SIZE = 0.10
