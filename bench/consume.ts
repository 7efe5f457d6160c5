/** How fast are records of 100 bytes consumed, beside a loop that reads the same bytes? */
import { openLog, string, topic, type Log } from 'millrace';
import { FloorWriter, floorRead } from './floor.ts';
import { benchSettings, compare, timed, type Contender, type Measured } from './harness.ts';

const settings = benchSettings(2_000_000);
const { records } = settings;
const value = 'x'.repeat(100);
const lines = topic('lines', { key: string(), value: string(), partitions: 1 });

const floor: Contender = {
  name: 'floor: read loop, to strings',
  run: (directory) => {
    const writer = new FloorWriter(directory);
    for (let count = 0; count < records; count++) writer.write(value);
    writer.close();
    return timed(records, () => {
      let characters = 0;
      floorRead(directory, (source, start, end) => {
        characters += source.toString('utf8', start, end).length;
      });
      if (characters !== records * value.length) throw new Error(`read ${characters} characters`);
    });
  },
};

function consuming(name: string, consume: (log: Log) => Promise<Measured>): Contender {
  return {
    name,
    run: async (directory) => {
      await using log = await openLog(directory);
      await log.producer({ acks: 1 }).sendAll(
        lines,
        Array.from({ length: records }, () => ({ value })),
      );
      return await consume(log);
    },
  };
}

const strings = consuming('poll, to strings', (log) =>
  timed(records, async () => {
    const consumer = log.consumer({ maxPollRecords: 5000 }).subscribe([lines]);
    for (let count = 0; count < records;) {
      for (const record of await consumer.poll()) if (record.value?.length === 100) count++;
    }
  }),
);

const lazy = consuming('poll, values not looked at', (log) =>
  timed(records, async () => {
    const consumer = log.consumer({ maxPollRecords: 5000 }).subscribe([lines]);
    for (let count = 0; count < records;) count += (await consumer.poll()).length;
  }),
);

const batches = consuming('pollBatches, positions only', (log) =>
  timed(records, async () => {
    const consumer = log.consumer().subscribe([lines]);
    for (let count = 0; count < records;) {
      for (const batch of await consumer.pollBatches()) while (batch.next()) count++;
    }
  }),
);

await compare(
  'consume, 100-byte values, one partition',
  [floor, strings, lazy, batches],
  settings,
  {
    maxPartitionFetchBytes: 1_048_576,
    isolationLevel: 'read_uncommitted',
  },
);
