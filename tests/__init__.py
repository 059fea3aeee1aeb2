"""The tests of clinvkd; a package, so that test modules can share the fakes beside them."""
