/**
 * A program for tests whose topology throws. It starts the application and does what its second
 * argument says. The first argument is the directory of its log.
 */
import { int64, openLog, string, topic } from '../../core/index.ts';
import { StreamsApp, StreamsBuilder } from '../../streams/index.ts';

const [directory = '', what = 'leave'] = process.argv.slice(2);
const numbers = topic('numbers', { key: string(), value: int64() });
const log = await openLog(directory);
const builder = new StreamsBuilder();
builder.stream(numbers).peek(({ value }) => {
  if (value === 13) throw new RangeError('unlucky');
});
const app = new StreamsApp(log, builder.build(), { applicationId: 'app' });
await app.start();
if (what === 'listen') app.done.catch(() => process.stdout.write('heard'));
await log.producer().send(numbers, { key: 'a', value: 13 });
