"""The real core on a deterministic loop: seeded order, virtual time, hosts that die or stand still at any await."""
