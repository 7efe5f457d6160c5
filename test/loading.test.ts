import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { compiledPackage } from './kit/compiled.ts';

/** Each takes as long to load as a door of ours; they are loaded where they are first used. */
const LATER = ['lmdb', 'msgpackr', 'rxjs', 'snappy', 'lz4-napi', 'yaml', 'commander', 'hono'];
const IMPORT = /^(?:import|export)\s(?:[^'"();]*from\s*)?"(?<from>[^"]+)";/gm;

/** All that a compiled file imports when it is loaded, and what that imports. */
function importsOf(file: string, known = new Set<string>()): Set<string> {
  if (known.has(file)) return known;
  known.add(file);
  for (const { groups } of readFileSync(file, 'utf8').matchAll(IMPORT)) {
    const from = groups!['from']!;
    if (from.startsWith('.')) importsOf(join(dirname(file), from), known);
    else known.add(from);
  }
  return known;
}

test.each(['core', 'streams', 'connect', 'job', 'services/connect'])(
  'importing %s loads no large package before it is used',
  (door) => {
    const imports = importsOf(join(compiledPackage(), door, 'index.js'));
    expect([...imports]).toContain('node:module'); // the imports are found
    expect(LATER.filter((name) => imports.has(name))).toEqual([]);
  },
);
