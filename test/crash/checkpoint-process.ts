/**
 * Runs the topology of the crash matrix to the end of its input, or kills itself with SIGKILL
 * within a transaction of LMDB: `checkpoint-process.ts DIRECTORY [KIND COUNT]`, after so many
 * changes of that kind: values that are put, or ranges of windows that expire.
 */
import { join } from 'node:path';
import { openLog } from '../../core/index.ts';
import { StreamsApp } from '../../streams/index.ts';
import type { StateMeta, StoreChanges } from '../../streams/state/environment.ts';
import { LmdbEnvironment } from '../../streams/state/lmdb-environment.ts';
import { matrixTopology } from '../kit/matrix-topology.ts';

const [directory = '', kind, count = '1'] = process.argv.slice(2);
let left = Number(count);

type ChangesByStore = ReadonlyMap<string, StoreChanges>;

/** The same changes; the process ends before the one that follows the last one that is left. */
function killing(changes: StoreChanges): StoreChanges {
  const isRange = (change: StoreChanges[number]): boolean => 'start' in change;
  function* each() {
    for (const change of changes) {
      yield change;
      if (isRange(change) !== (kind === 'expire')) continue;
      if (--left === 0) process.kill(process.pid, 'SIGKILL');
    }
    return undefined;
  }
  return Object.assign([...changes], { [Symbol.iterator]: each });
}

if (kind !== undefined) {
  const { prototype } = LmdbEnvironment;
  const checkpoint = Reflect.get<LmdbEnvironment, 'checkpoint'>(prototype, 'checkpoint');
  prototype.checkpoint = function (changes: ChangesByStore, meta: StateMeta) {
    const all = [...changes].map(([store, each]) => [store, killing(each)] as const);
    checkpoint.call(this, new Map(all), meta);
  };
}
const log = await openLog(join(directory, 'log'));
// A commit for each thousand records and a checkpoint behind each, however fast the machine is.
const app = new StreamsApp(log, matrixTopology(), {
  ...{ applicationId: 'app', commitIntervalMs: 0, checkpointEntriesMax: 1 },
  idleTimeoutMs: Infinity,
});
await app.start();
await app.finish();
await log.close();
