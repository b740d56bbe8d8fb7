// Waits between attempts to reach the aggregator.

/** Longest wait, ms. */
export const LONGEST_MS = 30_000;

/**
 * Doubling waits with jitter. Many pages lose the same aggregator at the same moment, and must not
 * come back in step.
 */
export class Backoff {
  private attempts = 0;
  private floorMs = 500;

  /** `random` gives numbers in [0, 1). */
  constructor(private readonly random: () => number = Math.random) {}

  /** The aggregator's `retry:` hint: the first wait is not shorter than about this many ms. */
  hint(ms: number): void {
    if (Number.isFinite(ms) && ms > 0) this.floorMs = Math.min(ms, LONGEST_MS);
  }

  /** The next wait, ms: between half of the doubled wait and all of it. */
  next(): number {
    const full = Math.min(LONGEST_MS, this.floorMs * 2 ** Math.min(this.attempts, 16));
    this.attempts += 1;
    return Math.round(full / 2 + (full / 2) * this.random());
  }

  /** Starts over; call it only after a stream that lived for a while. */
  reset(): void {
    this.attempts = 0;
  }
}
