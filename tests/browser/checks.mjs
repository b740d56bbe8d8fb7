// One line per check, and the count at the end.

export class Checks {
  passed = 0;
  failed = 0;

  /** Runs one check; what it gives is printed behind its name, what it throws fails it. */
  async run(name, check) {
    try {
      const detail = await check();
      this.passed += 1;
      console.log(`ok    ${name}${detail ? ` (${detail})` : ""}`);
    } catch (error) {
      this.failed += 1;
      console.log(`FAIL  ${name}: ${error.message}`);
    }
  }

  /** Prints the count and gives the exit code. */
  finish() {
    console.log(`${this.passed} passed, ${this.failed} failed`);
    return this.failed === 0 && this.passed > 0 ? 0 : 1;
  }
}
