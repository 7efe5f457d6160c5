/**
 * A program for tests whose topology throws, with `onUncaughtError: 'exit'`. The first argument is
 * the directory of its log; the second says whether it listens to SIGTERM.
 */
import { int64, openLog, silentLogger, string, topic } from '../../core/index.ts';
import { StreamsApp, StreamsBuilder } from '../../streams/index.ts';

const [directory = '', what = 'none'] = process.argv.slice(2);
const numbers = topic('numbers', { key: string(), value: int64() });
const log = await openLog(directory);
const builder = new StreamsBuilder();
builder.stream(numbers).peek(() => {
  throw new RangeError('unlucky');
});
const options = { applicationId: 'app', onUncaughtError: 'exit', logger: silentLogger } as const;
const app = new StreamsApp(log, builder.build(), options);
await app.start();
app.done.catch(() => process.stdout.write('ended\n'));
const timer = setInterval(() => undefined, 60_000); // keeps the process alive
if (what === 'listener') {
  process.once('SIGTERM', () => {
    process.stdout.write('SIGTERM\n');
    clearInterval(timer);
    void app.close().then(async () => {
      await log.close();
      process.stdout.write('closed\n');
    });
  });
}
await log.producer().send(numbers, { key: 'a', value: 13 });
