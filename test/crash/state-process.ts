/**
 * Runs the topology of the crash matrix on a log of its own: `state-process.ts DIRECTORY STATES`.
 * Writes `running`; or the code and the owner if another application has the state.
 */
import { openLog } from '../../core/index.ts';
import { StreamsApp, StreamsError } from '../../streams/index.ts';
import { produce } from '../kit/app.ts';
import { matrixTopology } from '../kit/matrix-topology.ts';
import { crashInput, crashRows } from '../kit/same-after-crashes.ts';

const [directory = '', stateDir = ''] = process.argv.slice(2);
const log = await openLog(directory);
await produce(log, crashInput, crashRows());
const app = new StreamsApp(log, matrixTopology(), { applicationId: 'app', stateDir });
try {
  await app.start();
  process.stdout.write('running');
} catch (error) {
  if (!StreamsError.is(error, 'STATE_LOCKED')) throw error;
  process.stdout.write(`${error.code} ${error.details.ownerPid}`);
  await log.close();
}
