/** How fast are records of 100 bytes produced, beside a loop that writes the same bytes? */
import { openLog, string, topic, type Acks } from 'millrace';
import { FloorWriter } from './floor.ts';
import { benchSettings, compare, timed, type Contender } from './harness.ts';

const settings = benchSettings(2_000_000);
const { records } = settings;
const value = 'x'.repeat(100);
const lines = topic('lines', { key: string(), value: string(), partitions: 1 });

const floor: Contender = {
  name: 'floor: write loop',
  run: (directory) =>
    timed(records, () => {
      const writer = new FloorWriter(directory);
      for (let count = 0; count < records; count++) writer.write(value);
      writer.close();
    }),
};

function* generate(): Generator<{ readonly value: string }> {
  const record = { value };
  for (let count = 0; count < records; count++) yield record;
}

function sendAll(acks: Acks): Contender {
  return {
    name: `sendAll, acks ${acks}`,
    run: async (directory) => {
      await using log = await openLog(directory);
      const producer = log.producer({ acks });
      await producer.writer(lines);
      return await timed(records, () => producer.sendAll(lines, generate()));
    },
  };
}

const writer: Contender = {
  name: 'writer, acks 1',
  run: async (directory) => {
    await using log = await openLog(directory);
    const producer = log.producer({ acks: 1 });
    const into = await producer.writer(lines);
    return await timed(records, async () => {
      for (let count = 0; count < records; count++) {
        into.write(null, value);
        if (producer.isFull) await producer.room();
      }
      await producer.flush();
    });
  },
};

/** One promise per record, as many programs will do. */
const send: Contender = {
  name: 'send, acks 1, 1000 at a time',
  run: async (directory) => {
    await using log = await openLog(directory);
    const producer = log.producer({ acks: 1 });
    await producer.writer(lines);
    const count = Math.ceil(records / 4);
    return await timed(count, async () => {
      for (let first = 0; first < count; first += 1000) {
        const sent = Array.from({ length: 1000 }, () => producer.send(lines, { value }));
        await Promise.all(sent);
      }
    });
  },
};

await compare(
  'produce, 100-byte values, one partition',
  [floor, sendAll(0), sendAll(1), sendAll('all'), writer, send],
  settings,
  { batchSize: 16_384, lingerMs: 0, codec: 'none' },
);
