"""Facts and rules: standard library only, nothing awaits."""
