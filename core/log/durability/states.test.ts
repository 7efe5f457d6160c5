import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { LogError } from '../../errors.ts';
import { systemError } from '../../storage/memory-operations.ts';
import { syncFailure, writeFailure, type Failure } from './failure.ts';
import { after, healthOf, isWritable, OPEN, type Health, type StateEvent } from './states.ts';

const PAGE = join(import.meta.dirname, '../../../docs/internals/durability.md');

const cause = new LogError('KAFKA_STORAGE_ERROR', 'the first', { file: 'f', operation: 'write' });
const error = new LogError('DISK_FULL', 'the second', { file: 'f', operation: 'write' });

/** Each health by its name on the page; both ways into `reloading` if they differ. */
const HEALTHS: Record<string, readonly Health[]> = {
  open: [OPEN],
  reloading: [
    { kind: 'reloading', cause, isFull: false },
    { kind: 'reloading', cause, isFull: true },
  ],
  'full, loaded': [{ kind: 'full', cause, isLoaded: true }],
  'full, not loaded': [{ kind: 'full', cause, isLoaded: false }],
  dead: [{ kind: 'dead', cause }],
};

const failed = (kind: Failure['kind']): StateEvent => ({
  kind: 'failed',
  failure: { kind, error },
});
const EVENTS: Record<string, StateEvent> = {
  'write succeeds': { kind: 'written' },
  'write fails': failed('write'),
  'write finds no room': failed('full'),
  'sync fails': failed('sync'),
  'append asks': { kind: 'refused' },
  'loading fails': { kind: 'reload failed', failure: { kind: 'write', error } },
  'loading finds no room': { kind: 'reload failed', failure: { kind: 'full', error } },
  loaded: { kind: 'reloaded' },
};

function nameOf(health: Health): string {
  return health.kind === 'full' ? `full, ${health.isLoaded ? '' : 'not '}loaded` : health.kind;
}

/** The rows of the page's table of transitions. */
function tableOfPage(): string[] {
  const [, section = ''] = readFileSync(PAGE, 'utf8').split('### Transitions\n');
  const lines = section.split('\n## ')[0]!.split('\n');
  const rows = lines.filter((line) => line.startsWith('| ')).slice(2);
  return rows.map((row) => {
    const cells = row.split('|').map((cell) => cell.trim());
    return cells.slice(1, 4).join(' -> ');
  });
}

/** The effect of `after` on each health, if any. */
function tableOfCode(): string[] {
  const rows = new Set<string>();
  for (const [name, healths] of Object.entries(HEALTHS)) {
    for (const health of healths) {
      for (const [event, happening] of Object.entries(EVENTS)) {
        const next = after(health, happening);
        if (next === health) continue;
        const isFull = health.kind === 'reloading' && health.isFull && event === 'loaded';
        rows.add(`${name} -> ${event}${isFull ? ', no room' : ''} -> ${nameOf(healthOf(next))}`);
      }
    }
  }
  return [...rows];
}

test('[LOG-29] the page has all transitions, and no other', () => {
  expect(tableOfPage().length).toBeGreaterThan(10);
  expect(tableOfCode().sort()).toEqual(tableOfPage().sort());
});

describe.each([true, false])('a closing log (abandoned: %s)', (isAbandoned) => {
  const closing = { kind: 'closing', cause: error, isAbandoned } as const;
  const all = Object.values(HEALTHS).flat();

  test('[LOG-29] changes its health as before, but no append reloads it', () => {
    for (const health of all) {
      const state = after(health, closing);
      expect(state).toMatchObject({ kind: 'closing', health, isAbandoned });
      for (const event of Object.values(EVENTS)) {
        const expected = event.kind === 'refused' ? health : after(health, event);
        expect(after(state, event)).toMatchObject({ kind: 'closing', health: expected });
      }
      expect(after(state, { ...closing, isAbandoned: true })).toMatchObject({ isAbandoned: true });
      expect(after(state, { ...closing, isAbandoned: false })).toMatchObject({ isAbandoned });
    }
  });

  test('[LOG-29] is closed for good', () => {
    const closed = after(after(OPEN, closing), { kind: 'closed', syncCause: cause });
    expect(closed).toEqual({ kind: 'closed', cause: error, syncCause: cause });
    for (const event of [...Object.values(EVENTS), closing])
      expect(after(closed, event)).toBe(closed);
    expect(isWritable(healthOf(closed))).toBe(false);
  });
});

describe('what a failure is', () => {
  test.each([
    ['EIO', 'write', 'sync'],
    ['ENOSPC', 'full', 'sync'], // detected too late
    ['EDQUOT', 'full', 'sync'],
    ['EMFILE', 'full', 'full'], // nothing was attempted
    ['ENFILE', 'full', 'full'],
  ])('[LOG-23] %s in a write: %s, in a sync: %s', (code, ofWrite, ofSync) => {
    const fault = systemError(code, 'write', '/f');
    expect(writeFailure('/f', 'write', fault).kind).toBe(ofWrite);
    expect(syncFailure('/f', fault).kind).toBe(ofSync);
    // Also if a lower layer has made it an error of the log.
    expect(writeFailure('/d', 'truncate', writeFailure('/f', 'write', fault).error).kind).toBe(
      ofWrite,
    );
  });
});
