"""What the tests compare with, and how they look: shared by all of them."""
