import type { StoreSpec } from '../topology/store.ts';
import type { LiveEntry } from './codec.ts';
import type { EnvironmentPlace } from './environment.suite.ts';
import type { StateEnvironment } from './environment.ts';
import { TaskState } from './task-state.ts';

/** A record of a changelog, as the runtime writes and reads it. */
interface Change {
  readonly key: Buffer;
  readonly value: Buffer | undefined;
  readonly timestampMs: number;
}

/** A task's state with its changelogs: commits, checkpoints and crashes as a task does. */
export class StateUnderTest {
  state!: TaskState;
  #environment!: StateEnvironment;
  readonly #place: EnvironmentPlace;
  readonly #specs: readonly StoreSpec[];
  readonly changelogs = new Map<string, Change[]>();

  private constructor(place: EnvironmentPlace, specs: readonly StoreSpec[]) {
    this.#place = place;
    this.#specs = specs;
    for (const { name } of specs) this.changelogs.set(name, []);
  }

  static async open(place: EnvironmentPlace, specs: readonly StoreSpec[]): Promise<StateUnderTest> {
    const it = new StateUnderTest(place, specs);
    await it.#open();
    return it;
  }

  /** Writes the changelogs; returns the written records by store. */
  commit(): Record<string, string[]> {
    const written: Record<string, string[]> = {};
    for (const [name, store] of this.state.stores) {
      const changelog = this.changelogs.get(name)!;
      written[name] = [];
      store.takeChanged((entry) => {
        const value = entry.value === undefined ? undefined : store.codec.encodeValue(entry);
        const { timestampMs } = entry;
        changelog.push({ key: store.codec.encodeKey(entry), value, timestampMs });
        written[name]!.push(shown(entry));
      });
    }
    return written;
  }

  checkpoint(cacheEntriesMax = 1000): void {
    const offsets = [...this.changelogs].map(([name, { length }]) => [name, length] as const);
    this.state.checkpoint(Object.fromEntries(offsets), cacheEntriesMax);
  }

  /** Crashes and restarts from the checkpoint and the rest of the changelogs. */
  async restart(closedMs = -Infinity): Promise<void> {
    await this.#environment.close();
    await this.#open();
    for (const [name, store] of this.state.stores) {
      const changelog = this.changelogs.get(name)!;
      for (const change of changelog.slice(this.state.changelogOffset(name) ?? 0)) {
        store.restore(change.key, change.value, change.timestampMs);
      }
      store.expire(closedMs);
    }
  }

  async close(): Promise<void> {
    await this.#environment.close();
  }

  async #open(): Promise<void> {
    this.#environment = await this.#place.open(this.#specs.map(({ name }) => name));
    this.state = new TaskState(this.#environment, this.#specs);
  }
}

function shown({ key, windowStartMs, value, timestampMs }: LiveEntry<unknown, unknown>): string {
  const window = windowStartMs === undefined ? '' : ` ${windowStartMs}`;
  return `${JSON.stringify(key)}${window} ${JSON.stringify(value)} @${timestampMs}`;
}
