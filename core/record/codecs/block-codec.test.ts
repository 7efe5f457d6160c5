import { createRequire } from 'node:module';
import { expect, test, vi } from 'vitest';
import { CODECS } from '../batch.ts';

const { cache } = createRequire(import.meta.url);
const PACKAGE = /node_modules[/\\](snappy|lz4-napi|@bokuweb)[/\\]/;

/** The packages of codecs that this process has loaded. */
function loadedPackages(): string[] {
  const names = Object.keys(cache).map((path) => PACKAGE.exec(path)?.[1]);
  return [...new Set(names.filter((name) => name !== undefined))];
}

test('[RECORD-20] a codec loads its package when it is first used', async () => {
  // Other files of tests run in this process before, and may have loaded some.
  for (const path of Object.keys(cache))
    if (PACKAGE.test(path)) Reflect.deleteProperty(cache, path);
  vi.resetModules();
  const { compress } = await import('../compression.ts');
  const loaded = CODECS.map((codec) => {
    compress(codec, Buffer.from('records'));
    return loadedPackages().length;
  });
  // none and gzip need nothing; zstd nothing to compress with where Node does that.
  expect(loaded.slice(0, 4)).toEqual([0, 0, 1, 2]);
  expect(loadedPackages().slice(0, 2)).toEqual(['snappy', 'lz4-napi']);
});
