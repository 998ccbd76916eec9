"""The coverage-guided fuzzer, requests of control clients: `tools/fuzz requests`."""

from tests.fuzz.fuzzer import fuzz

if __name__ == "__main__":
    fuzz("tests.fuzz.requests_target")
