import fc from 'fast-check';
import { expect, test } from 'vitest';
import { checkHistory, type AnomalyType } from './check-history.ts';
import { History, type Outcome, type Seen } from './history.ts';

const at = (value: string, offset?: number, partition = 0): Seen => {
  return { topic: 't', partition, value, ...(offset !== undefined && { offset }) };
};

/** Sends `records` in one operation. */
function send(
  history: History,
  process: string,
  records: readonly Seen[],
  outcome?: Outcome,
): void {
  const operation = history.begin(process);
  for (const record of records) operation.sent(record);
  if (outcome !== undefined) operation.end(outcome);
}

function poll(history: History, process: string, records: readonly Seen[]): void {
  const operation = history.begin(process);
  for (const record of records) operation.polled(record);
  operation.end('ok');
}

function types(history: History, isComplete = false): AnomalyType[] {
  return checkHistory(history, { isComplete }).map(({ type }) => type);
}

test('[CHECK-1] a history without anomalies passes, whatever a killed process lost', () => {
  const history = new History();
  send(history, 'a', [at('1', 0), at('2', 1)], 'ok');
  send(history, 'a', [at('lost')]); // killed
  send(history, 'b', [at('refused')], 'failed');
  send(history, 'b', [at('3')], 'unknown');
  poll(history, 'c', [at('1', 0), at('2', 1), at('3', 2)]);
  history.repositioned('c');
  poll(history, 'c', [at('2', 1), at('3', 2)]);
  expect(checkHistory(history, { isComplete: true })).toEqual([]);
});

test.each<[AnomalyType, (history: History) => void]>([
  [
    'lost-write',
    (history) => {
      send(history, 'a', [at('1', 0), at('2', 1), at('3', 2)], 'ok');
      poll(history, 'c', [at('1', 0), at('3', 2)]);
    },
  ],
  [
    'aborted-read',
    (history) => {
      send(history, 'a', [at('1', 0)], 'failed');
      poll(history, 'c', [at('1', 0)]);
    },
  ],
  [
    'aborted-read',
    (history) => {
      const operation = history.begin('a', { isTransaction: true });
      operation.sent(at('1')); // killed before it was to commit
      poll(history, 'c', [at('1', 0)]);
    },
  ],
  [
    'precommitted-read',
    (history) => {
      const operation = history.begin('a', { isTransaction: true });
      operation.sent(at('1'));
      poll(history, 'c', [at('1', 0)]);
      operation.committing();
      operation.end('ok');
    },
  ],
  [
    'precommitted-read',
    (history) => {
      const operation = history.begin('a', { isTransaction: true });
      operation.sent(at('1'));
      operation.polled(at('1', 0));
      operation.committing();
      operation.end('ok');
    },
  ],
  [
    'duplicate',
    (history) => {
      send(history, 'a', [at('1')], 'ok');
      poll(history, 'c', [at('1', 0), at('1', 1)]);
    },
  ],
  [
    'inconsistent-offsets',
    (history) => {
      send(history, 'a', [at('1'), at('2')], 'ok');
      poll(history, 'c', [at('1', 0)]);
      poll(history, 'd', [at('2', 0)]);
    },
  ],
  ['unsent', (history) => poll(history, 'c', [at('1', 0)])],
  [
    'poll-skip',
    (history) => {
      send(history, 'a', [at('1'), at('2'), at('3')], 'ok');
      poll(history, 'd', [at('1', 0), at('2', 1), at('3', 2)]);
      poll(history, 'c', [at('1', 0)]);
      poll(history, 'c', [at('3', 2)]);
    },
  ],
  [
    'int-poll-skip',
    (history) => {
      send(history, 'a', [at('1'), at('2'), at('3')], 'ok');
      poll(history, 'd', [at('1', 0), at('2', 1), at('3', 2)]);
      poll(history, 'c', [at('1', 0), at('3', 2)]);
    },
  ],
  [
    'nonmonotonic-poll',
    (history) => {
      send(history, 'a', [at('1'), at('2')], 'ok');
      poll(history, 'c', [at('1', 0), at('2', 1)]);
      poll(history, 'c', [at('2', 1)]);
    },
  ],
  [
    'int-nonmonotonic-poll',
    (history) => {
      send(history, 'a', [at('1'), at('2')], 'ok');
      poll(history, 'c', [at('2', 1), at('1', 0)]);
    },
  ],
  [
    'nonmonotonic-send',
    (history) => {
      send(history, 'a', [at('1', 5)], 'ok');
      send(history, 'a', [at('2', 4)], 'ok');
    },
  ],
  ['int-nonmonotonic-send', (history) => send(history, 'a', [at('1', 5), at('2', 4)], 'ok')],
  [
    'read-cycle',
    (history) => {
      const [first, second] = [history.begin('a'), history.begin('b')];
      first.sent(at('1'));
      second.sent(at('2', undefined, 1));
      first.polled(at('2', 0, 1));
      second.polled(at('1', 0));
      first.end('ok');
      second.end('ok');
    },
  ],
])('[CHECK-2] %s is found', (type, write) => {
  const history = new History();
  write(history);
  expect(new Set(types(history))).toEqual(new Set([type]));
});

test('[CHECK-2] unseen is found when everything was read, and only then', () => {
  const history = new History();
  send(history, 'a', [at('1')], 'ok');
  expect(types(history)).toEqual([]);
  expect(types(history, true)).toEqual(['unseen']);
});

test('[CHECK-3] an operation that failed reads again what it had read', () => {
  const history = new History();
  send(history, 'a', [at('1'), at('2')], 'ok');
  const operation = history.begin('c', { isTransaction: true });
  operation.polled(at('1', 0));
  operation.polled(at('2', 1));
  operation.end('failed');
  poll(history, 'c', [at('1', 0), at('2', 1)]);
  expect(checkHistory(history)).toEqual([]);
});

test('[CHECK-3] a log read in order has no anomaly; an altered one has', () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(sizes, sizes, fc.nat(), (sends, polls, altered) => {
      const history = new History();
      const records: Seen[] = [];
      for (const size of sends) {
        const batch = Array.from({ length: size }, (_, index) =>
          at(`v${records.length + index}`, records.length + index),
        );
        send(history, 'a', batch, 'ok');
        records.push(...batch);
      }
      poll(history, 'd', records);
      for (let [turn, next] = [0, 0]; next < records.length; turn++) {
        const size = polls[turn % polls.length]!;
        poll(history, 'c', records.slice(next, next + size));
        next += size;
      }
      expect(checkHistory(history, { isComplete: true })).toEqual([]);
      const { value } = records[altered % records.length]!;
      poll(history, 'e', [at(value, records.length + 1)]);
      expect(types(history)).toEqual(['duplicate']);
    }),
  );
});

test('[CHECK-3] only what a power cut took from readers can be forgotten', () => {
  const history = new History();
  send(history, 'a', [at('lost')], 'unknown');
  send(history, 'a', [at('next', 0)], 'ok');
  poll(history, 'c', [at('lost', 0)]);
  poll(history, 'd', [at('next', 0)]);
  expect(types(history)).toContain('inconsistent-offsets');
  history.forgetPolls(({ value }) => value === 'lost');
  expect(checkHistory(history, { isComplete: true })).toEqual([]);
});
