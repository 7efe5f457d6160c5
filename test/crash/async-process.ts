/**
 * Runs a topology with functions that take their time until its input has ended:
 * `async-process.ts DIRECTORY ORDER`.
 */
import { openLog } from '../../core/index.ts';
import { StreamsApp } from '../../streams/index.ts';
import { asyncTopology, type Order } from './async-topology.ts';

const [directory = '', order = ''] = process.argv.slice(2);

await using log = await openLog(directory);
await using app = new StreamsApp(log, asyncTopology(order as Order), {
  applicationId: 'later',
  commitIntervalMs: 10,
  checkpointIntervalMs: 40,
});
await app.start();
process.stdout.write('started\n');
await app.finish();
