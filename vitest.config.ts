import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** Where .ci/run wants the result as JSON; unset when people run the tests. */
const reportFile = process.env['TEST_REPORT'];

const OTHERS = ['**/node_modules/**', 'dist/**', 'docs/**', 'test/kafka/**'];
/** Stands in for `core/client/open-log.ts`. */
const PORT_LOG = fileURLToPath(new URL('test/kit/port-log.ts', import.meta.url));

export default defineConfig({
  resolve: { alias: packageNames() },
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: 'millrace',
          include: ['**/*.test.ts'],
          exclude: OTHERS,
          globalSetup: ['test/kit/compile.ts'],
        },
      },
      {
        // The clients once more, with a message port between them and the broker. What they do
        // after crashes of the disk is the same here as there.
        extends: true,
        resolve: { alias: [{ find: /^(\.\.?\/)+open-log\.ts$/, replacement: PORT_LOG }] },
        test: {
          name: 'port',
          include: ['core/client/**/*.test.ts'],
          exclude: [...OTHERS, '**/log.test.ts', '**/*-crash.test.ts', '**/*simulation.test.ts'],
        },
      },
    ],
    // Processes, not threads: tests change the working directory, send signals and load LMDB.
    pool: 'forks',
    // All files of a worker share its modules: loading them for each took half of all the time.
    isolate: false,
    // One more than there are cores: many tests wait for the disk, or for processes of their own.
    maxWorkers: availableParallelism() + 1,
    testTimeout: 20_000,
    hookTimeout: 20_000,
    env: { VERIFY: '1' }, // the costly invariants (STYLE: assert)
    reporters: reportFile === undefined ? ['default'] : ['default', 'json'],
    ...(reportFile !== undefined && { outputFile: { json: reportFile } }),
  },
});

/** The package's own names, as tsconfig.json resolves them: `millrace/streams` to its sources. */
function packageNames(): { find: RegExp; replacement: string }[] {
  const tsconfig = JSON.parse(readFileSync(new URL('tsconfig.json', import.meta.url), 'utf8')) as {
    compilerOptions: { paths: Record<string, [string]> };
  };
  return Object.entries(tsconfig.compilerOptions.paths).map(([name, [path]]) => ({
    find: new RegExp(`^${name}$`),
    replacement: fileURLToPath(new URL(path, import.meta.url)),
  }));
}
