"""Models of the protocols, searched by Spin."""
