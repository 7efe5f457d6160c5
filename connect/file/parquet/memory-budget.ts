/**
 * What the pages and dictionaries of all columns may take together. 1000 columns with pages and
 * dictionaries of 1 MiB each, the usual size, fit.
 */
const HELD_BYTES_MAX = 2 * 1024 * 1024 * 1024;

/** Counts the memory that the columns of a file take, so that no file can exhaust it. */
export class MemoryBudget {
  #held = 0;

  /**
   * Counts `sizeBytes` in the place of what was counted `before`.
   *
   * @throws RangeError if it is too much.
   */
  replace(before: number, sizeBytes: number): void {
    const held = this.#held - before + sizeBytes;
    if (sizeBytes > before && held > HELD_BYTES_MAX) {
      throw new RangeError(
        `its pages need more than ${HELD_BYTES_MAX} bytes of memory at once: read fewer columns`,
      );
    }
    this.#held = held;
  }
}
