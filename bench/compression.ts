/**
 * What does each codec cost, both ways, and what does it save? JSON lines of about 90 bytes go
 * through a producer and a consumer, in batches of 16 KB and of 256 KB; the floor is the same
 * without a codec. Rates are bytes of values: 1 M/s is 1 MB/s.
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { openLog, string, topic, type Codec, type Log } from 'millrace';
import { benchSettings, compare, timed, type Contender, type Measured } from './harness.ts';

const settings = benchSettings(300_000);
const AIRPORTS = ['ATL', 'DEN', 'DFW', 'HNL', 'JFK', 'LAX', 'ORD', 'PHX', 'SEA', 'SFO'];
const CODECS: readonly Codec[] = ['none', 'snappy', 'lz4', 'zstd', 'gzip'];
const lines = topic('lines', { key: string(), value: string(), partitions: 1 });

/** Made-up flights: similar, like the records of one topic, but no two the same. */
function flights(): { readonly value: string }[] {
  let state = 1; // a linear congruential generator: every run has the same bytes
  const below = (limit: number) => (state = (state * 48_271) % 2_147_483_647) % limit;
  return Array.from({ length: settings.records }, (_, index) => ({
    value: JSON.stringify({
      date: 978_307_200_000 + index * 5_000 + below(5_000),
      delay: below(200) - 20,
      distance: below(3_000),
      origin: AIRPORTS[below(AIRPORTS.length)],
      destination: AIRPORTS[below(AIRPORTS.length)],
    }),
  }));
}

const records = flights();
const sizeBytes = records.reduce((sum, { value }) => sum + value.length, 0);
/** The size of the log, by contender. */
const storedBytes = new Map<string, number>();

function produce(log: Log, compressionType: Codec, batchSize: number): Promise<number> {
  return log.producer({ acks: 1, compressionType, batchSize }).sendAll(lines, records);
}

function logBytes(directory: string): number {
  const segments = readdirSync(join(directory, 'lines-0')).filter((name) => name.endsWith('.log'));
  return segments.reduce((sum, name) => sum + statSync(join(directory, 'lines-0', name)).size, 0);
}

function writing(codec: Codec, batchSize: number): Contender {
  return {
    name: codec,
    run: async (directory) => {
      let measured: Measured;
      {
        await using log = await openLog(directory);
        measured = await timed(sizeBytes, () => produce(log, codec, batchSize));
      }
      storedBytes.set(`${codec} ${batchSize}`, logBytes(directory));
      return measured;
    },
  };
}

function reading(codec: Codec, batchSize: number): Contender {
  return {
    name: codec,
    run: async (directory) => {
      await using log = await openLog(directory);
      await produce(log, codec, batchSize);
      return await timed(sizeBytes, async () => {
        const consumer = log.consumer().subscribe([lines]);
        for (let count = 0; count < records.length;) {
          for (const batch of await consumer.pollBatches()) while (batch.next()) count++;
        }
      });
    },
  };
}

for (const batchSize of [16_384, 262_144]) {
  const notes = { batchSize, acks: 1, lingerMs: 0, sizeBytes };
  const kilobytes = `${batchSize / 1024} KB`;
  const written = CODECS.map((codec) => writing(codec, batchSize));
  await compare(`write, batches of ${kilobytes}, bytes`, written, settings, notes);
  const read = CODECS.map((codec) => reading(codec, batchSize));
  await compare(`read (pollBatches), batches of ${kilobytes}, bytes`, read, settings, notes);
  const ratios = CODECS.map((codec) => {
    const ratio = sizeBytes / (storedBytes.get(`${codec} ${batchSize}`) ?? NaN);
    return `${codec} ${ratio.toFixed(2)}`;
  });
  console.log(`\nvalues to log, batches of ${kilobytes}: ${ratios.join(', ')}`);
}
