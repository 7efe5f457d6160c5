import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach } from 'vitest';

/**
 * Creates a directory for the tests of a file. Removes it after all of them have passed; otherwise
 * prints its path.
 */
export function keptDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-kafka-'));
  let passedCount = 0;
  let failedCount = 0;
  afterEach(({ task }) => {
    if (task.result?.state === 'fail') failedCount++;
    else passedCount++;
  });
  afterAll(() => {
    // None passed: their setup failed.
    if (failedCount > 0 || passedCount === 0) process.stderr.write(`kept: ${directory}\n`);
    else rmSync(directory, { recursive: true, force: true });
  });
  return directory;
}
