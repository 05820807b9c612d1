"""One line a check, and a last line that counts them."""


class Report:
    def __init__(self):
        self.passed = self.failed = 0

    def check(self, name, ok, detail):
        self.passed += bool(ok)
        self.failed += not ok
        print(f"{'pass' if ok else 'FAIL'}  {name}: {detail}", flush=True)

    def at_most(self, name, error, bound):
        # Written so that NaN fails.
        self.check(name, error <= bound, f"{error:.2e} (<= {bound:.0e})")

    def finish(self):
        """Prints the count; the exit status. A run that checked nothing has failed."""
        print(f"{self.passed} passed, {self.failed} failed")
        return 0 if self.passed and not self.failed else 1
