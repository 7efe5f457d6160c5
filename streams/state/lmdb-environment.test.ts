import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../test/kit/temporary-directory.ts';
import { StreamsError } from '../errors.ts';
import type { EnvironmentKind } from './environment.suite.ts';
import { environmentSuite } from './environment.suite.ts';
import { LmdbEnvironment } from './lmdb-environment.ts';
import { rangesSuite } from './ranges.suite.ts';
import { storesSuite } from './stores.suite.ts';

const kind: EnvironmentKind = {
  name: 'LMDB',
  share: 0.3,
  place: () => {
    const directory = temporaryDirectory();
    return { open: (stores: readonly string[]) => LmdbEnvironment.open(directory, stores) };
  },
};

environmentSuite(kind);
storesSuite(kind);
rangesSuite(kind);

test('[STATE-1] a failed checkpoint leaves the previous one intact', async () => {
  const environment = await LmdbEnvironment.open(
    join(temporaryDirectory(), 'made', 'on', 'the', 'way'),
    ['s'],
  );
  const meta = { formatVersion: 1, changelogOffsets: { s: 1 } };
  const good = { key: Buffer.from('a'), value: Buffer.from('1') };
  environment.checkpoint(new Map([['s', [good]]]), meta);
  const changes = [
    { key: Buffer.from('a'), value: Buffer.from('2') },
    { key: Buffer.alloc(5000), value: Buffer.from('too long for LMDB') },
  ];
  const failing = () =>
    environment.checkpoint(new Map([['s', changes]]), { ...meta, changelogOffsets: { s: 2 } });
  expect(failing).toThrow();
  expect(environment.get('s', good.key)?.toString()).toBe('1');
  expect(environment.readMeta()).toEqual(meta);
  await environment.close();
});

describe('[STATE-6] a data file that is not whole', () => {
  const meta = { formatVersion: 1, changelogOffsets: { s: 1 } };

  async function whole(): Promise<{ readonly directory: string; readonly content: Buffer }> {
    const directory = temporaryDirectory();
    const environment = await LmdbEnvironment.open(directory, ['s']);
    for (let round = 0; round < 3; round++) {
      const changes = Array.from({ length: 300 }, (_, index) => ({
        key: Buffer.from(`key ${index}`),
        value: Buffer.alloc(100, round),
      }));
      environment.checkpoint(new Map([['s', changes]]), meta);
    }
    await environment.close();
    return { directory, content: readFileSync(join(directory, 'data.mdb')) };
  }

  test.each<[string, (content: Buffer) => Buffer]>([
    ['only zeros', (content) => content.fill(0)],
    ['no first page', (content) => content.fill(0, 0, 4096)],
    ['a page only', (content) => content.subarray(0, 4096)],
    ['cut', (content) => content.subarray(0, 8 * 4096)],
    ['nothing', () => Buffer.alloc(0)],
    ['something else', () => Buffer.from('hello')],
  ])('counts as missing: %s', async (_, damage) => {
    const { directory, content } = await whole();
    writeFileSync(join(directory, 'data.mdb'), damage(content));
    const environment = await LmdbEnvironment.open(directory, ['s']);
    expect(environment.readMeta()).toBeUndefined();
    expect([...environment.range('s', Buffer.alloc(0), undefined)]).toEqual([]);
    environment.checkpoint(
      new Map([['s', [{ key: Buffer.from('a'), value: Buffer.from('1') }]]]),
      meta,
    );
    await environment.close();
  });

  test('is kept if it is whole', async () => {
    const { directory } = await whole();
    const environment = await LmdbEnvironment.open(directory, ['s']);
    expect(environment.readMeta()).toEqual(meta);
    expect([...environment.range('s', Buffer.alloc(0), undefined)]).toHaveLength(300);
    await environment.close();
  });

  test('is reported with its directory if LMDB detects it', async () => {
    const { directory, content } = await whole();
    writeFileSync(join(directory, 'data.mdb'), content.fill(0, 2 * 4096));
    const open = async () => {
      const environment = await LmdbEnvironment.open(directory, ['s']);
      try {
        environment.readMeta();
        return [...environment.range('s', Buffer.alloc(0), undefined)];
      } finally {
        await environment.close();
      }
    };
    const failure = await open().catch((error: unknown) => error);
    expect(StreamsError.is(failure, 'STATE_CORRUPT') && failure.details.directory).toBe(directory);
  });
});
