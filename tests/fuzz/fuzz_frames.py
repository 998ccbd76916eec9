"""The coverage-guided fuzzer, frames → stack: `tools/fuzz`."""

from tests.fuzz.fuzzer import fuzz

if __name__ == "__main__":
    fuzz("tests.fuzz.target")
