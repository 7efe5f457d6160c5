import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** Where .ci/run wants the result as JSON; unset when people run the tests. */
const reportFile = process.env['TEST_REPORT'];

export default defineConfig({
  resolve: { alias: packageNames() },
  test: {
    include: ['**/*.test.ts'],
    exclude: ['**/node_modules/**', 'dist/**', 'docs/**', 'test/kafka/**'],
    // Processes, not threads: tests change the working directory, send signals and load LMDB.
    pool: 'forks',
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
