import { createRequire } from 'node:module';

/** The version of this package; `unknown` if its manifest is not where it should be. */
export function packageVersion(): string {
  const require = createRequire(import.meta.url);
  // Upwards from services/http/, dist/services/http/, or a folder that it was bundled into.
  for (const path of [
    './package.json',
    '../package.json',
    '../../package.json',
    '../../../package.json',
  ]) {
    try {
      const { name, version } = require(path) as {
        readonly name: string;
        readonly version: string;
      };
      if (name === 'millrace') return version;
    } catch {
      continue; // another place
    }
  }
  return 'unknown';
}
