"""The kit for plugin authors: contract tests, fakes, builders."""
