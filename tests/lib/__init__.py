"""Helpers of the tests, imported as `lib`: run_test.py finds this folder, and the links `lib` beside the test files do for
`python3 tests/integration/test_x.py`."""
