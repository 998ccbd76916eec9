"""The coverage-guided fuzzer, DNS messages: `tools/fuzz dns`."""

from tests.fuzz.fuzzer import fuzz

if __name__ == "__main__":
    fuzz("tests.fuzz.dns_target")
