import { describe, expect, test } from 'vitest';
import { json, string, topic } from '../../core/index.ts';
import { MemoryFileSystem } from '../../core/testing/index.ts';
import { connectFailure } from '../../test/kit/connect.ts';
import type { Delivery, SinkConnector, SinkOffset, SourceConnector } from '../connector.ts';
import { fileSink } from '../file/sink/file-sink.ts';
import { jsonl } from '../file/jsonl.ts';
import { readManifest } from '../file/sink/manifest-file.ts';
import { trySink, type SinkTrial } from './try-sink.ts';
import { trySource } from './try-source.ts';

const numbers = topic('numbers', { key: string(), value: json<number>(), partitions: 2 });
const upTo = (end: number) => Array.from({ length: end }, (_, value) => value);

/** Counts to 40; one that forgets its offset begins again. */
function counter(forgets = false): SourceConnector {
  return {
    ...{ name: 'counter', topics: [numbers], isBounded: true },
    open: async ({ offset }) => {
      let next = forgets ? 0 : Number(offset({})?.['next'] ?? 0);
      const poll = async () => {
        if (next >= 40) return undefined;
        const values = upTo(5).map((value) => next + value);
        next += 5;
        const records = values.map((value) => {
          return { topic: numbers, key: `k${value}`, value, timestampMs: value };
        });
        return { records, partition: {}, offset: { next } };
      };
      return [{ poll, close: async () => undefined }];
    },
  };
}

describe('[CONNECT-KIT-1] trySource', () => {
  test('crashes a source at each step of its commits, and finds each record once', async () => {
    const { steps } = await trySource({ source: () => counter() });
    expect(steps).toHaveLength(4 * 4);
    expect(steps.slice(0, 4)).toEqual([
      ...['source-1-flush', 'source-2-offsets', 'source-3-end', 'source-4-committed'],
    ]);
    const describeValue = ({ value }: { readonly value: unknown }) => String(value);
    const expected = upTo(41).map(String);
    const failed = trySource({ source: () => counter(), expected, describe: describeValue });
    expect(await connectFailure(failed)).toMatchObject({
      code: 'TRIAL_FAILED',
      message: 'counter, after a run that nothing disturbed: missing: 40',
    });
  });

  test('finds that a source reads something again', async () => {
    const { message } = await connectFailure(trySource({ source: () => counter(true) }));
    expect(message).toMatch(/^counter, after a crash at source-.*: there more than once: numbers /);
  });
});

/** A sink with an output in memory. */
class Output {
  values: string[] = [];
  offsets: readonly SinkOffset[] = [];

  /** @param commitsLate its values before its offsets, in two steps. */
  sink(delivery: Delivery, commitsLate = false): SinkConnector {
    return {
      ...{ name: 'memory', topics: [numbers], delivery },
      open: async ({ onStep }) => {
        let pending: string[] = [];
        return {
          committedOffsets: delivery === 'transactional' ? this.offsets : undefined,
          put: (records) => void pending.push(...records.map(({ value }) => String(value))),
          commit: async (offsets) => {
            this.values = [...this.values, ...pending];
            if (delivery === 'idempotent') this.values = [...new Set(this.values)];
            if (commitsLate) onStep('memory-offsets');
            this.offsets = offsets;
            pending = [];
          },
          close: async () => undefined,
        };
      },
    };
  }
}

function trial(delivery: Delivery, commitsLate = false): SinkTrial<string, number> {
  const output = new Output();
  return {
    sink: () => output.sink(delivery, commitsLate),
    topic: numbers,
    records: upTo(30).map((value) => ({ key: `k${value}`, value })),
    read: () => output.values,
    expected: upTo(30).map(String),
    reset: () => {
      output.values = [];
      output.offsets = [];
    },
  };
}

describe('[CONNECT-KIT-2] trySink', () => {
  test.each(['transactional', 'idempotent', 'at-least-once'] as const)(
    'crashes a sink at each step: %s',
    async (delivery) => {
      const { steps } = await trySink(trial(delivery));
      expect(new Set(steps)).toEqual(
        new Set(['sink-1-output', 'sink-2-offsets', 'sink-3-committed']),
      );
      expect(steps.length).toBeGreaterThanOrEqual(6);
    },
  );

  test('finds a sink that promises too much', async () => {
    expect((await connectFailure(trySink(trial('transactional', true)))).message).toMatch(
      /^memory, after a crash at memory-offsets .*: there more than once: /,
    );
  });

  test('finds what is missing', async () => {
    const lossy = trial('at-least-once');
    const failed = trySink({ ...lossy, expected: upTo(31).map(String) });
    expect((await connectFailure(failed)).message).toMatch(/missing: 30$/);
  });

  test('runs the file sink through all of its steps', async () => {
    let disk = new MemoryFileSystem();
    const { steps } = await trySink({
      sink: () => {
        const place = { path: '/out', fileSystem: disk, partBytes: 40 };
        return fileSink({ topic: numbers, format: jsonl<number>(), ...place });
      },
      topic: numbers,
      records: upTo(30).map((value) => ({ key: `k${value}`, value })),
      read: async () => {
        const lines: string[] = [];
        for (const { file, sizeBytes } of (await readManifest(disk, '/out'))?.parts ?? []) {
          const content = (await disk.readFile(`/out/${file}`)).subarray(0, sizeBytes);
          lines.push(...content.toString().trimEnd().split('\n'));
        }
        return lines;
      },
      expected: upTo(30).map(String),
      reset: () => {
        disk = new MemoryFileSystem();
      },
    });
    expect(steps).toContain('file-4-manifest');
  });
});
