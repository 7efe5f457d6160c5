/**
 * How do the size of a value, the codec and `acks` affect producing and consuming? Values look like
 * JSON of events, so that codecs have something to do. Each row is compared with the hand-written
 * loop over the same bytes; MB count values before compression.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bytes, openLog, seededRandom, string, topic, type Acks, type Codec } from 'millrace';
import { FloorWriter, floorRead } from './floor.ts';
import { benchSettings, keep } from './harness.ts';

const SIZES = [10, 100, 1000, 10_000];
const CODECS: readonly Codec[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];
const ALL_ACKS: readonly Acks[] = [0, 1, 'all'];
const settings = benchSettings(60_000_000); // bytes a run
const totalBytes = settings.isSmoke ? 200_000 : settings.records;

const lines = topic('lines', { key: string(), value: bytes(), partitions: 1 });

/** Values of one size, a thousand different ones. */
function valuesOf(sizeBytes: number): Buffer[] {
  const random = seededRandom(sizeBytes);
  return Array.from({ length: 1000 }, () => {
    let text = '';
    while (text.length < sizeBytes) {
      const id = Math.floor(random.next() * 1e6);
      text += `{"id":${id},"origin":"SFO","delay":${id % 90},"note":"on its way"},`;
    }
    return Buffer.from(text.slice(0, sizeBytes));
  });
}

async function inDirectory<R>(work: (directory: string) => Promise<R>): Promise<R> {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-bench-'));
  try {
    return await work(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

interface Rates {
  readonly producePerSecond: number;
  readonly consumePerSecond: number;
}

function rates(count: number, producedMs: number, consumedMs: number): Rates {
  return {
    producePerSecond: (count / producedMs) * 1000,
    consumePerSecond: (count / consumedMs) * 1000,
  };
}

function floor(values: readonly Buffer[], count: number): Promise<Rates> {
  return inDirectory((directory) => {
    const texts = values.map((value) => value.toString());
    const start = performance.now();
    const writer = new FloorWriter(directory);
    for (let index = 0; index < count; index++) writer.write(texts[index % texts.length]!);
    writer.close();
    const written = performance.now();
    let read = 0;
    floorRead(directory, (_, from, to) => void (read += to - from));
    const end = performance.now();
    if (read !== count * values[0]!.length) throw new TypeError(`read ${read} bytes`);
    return Promise.resolve(rates(count, written - start, end - written));
  });
}

function measure(values: readonly Buffer[], count: number, acks: Acks, codec: Codec) {
  return inDirectory(async (directory) => {
    await using log = await openLog(directory);
    function* records() {
      for (let index = 0; index < count; index++) yield { value: values[index % values.length]! };
    }
    const producer = log.producer({ acks, compressionType: codec });
    await producer.sendAll(lines, [{ value: values[0]! }]); // creates the topic
    const start = performance.now();
    await producer.sendAll(lines, records());
    await producer.flush();
    const written = performance.now();
    const consumer = log.consumer({ maxPollRecords: 5000 }).subscribe([lines]);
    for (let read = 0; read < count;) {
      for (const { value } of await consumer.poll()) if (value !== null) read++;
    }
    return rates(count, written - start, performance.now() - written);
  });
}

const figures: { name: string; values: number[] }[] = [];

function row(name: string, sizeBytes: number, found: Rates, base: Rates): void {
  const label = `${sizeBytes} bytes, ${name}`;
  figures.push({ name: `${label}, produce`, values: [found.producePerSecond] });
  figures.push({ name: `${label}, consume`, values: [found.consumePerSecond] });
  const cells = [found.producePerSecond, found.consumePerSecond].map((perSecond, index) => {
    const of = index === 0 ? base.producePerSecond : base.consumePerSecond;
    const thousands = (perSecond / 1000).toFixed(0).padStart(7);
    const megabytes = ((perSecond * sizeBytes) / 1e6).toFixed(0).padStart(5);
    return `${thousands} k/s ${megabytes} MB/s ${(of / perSecond).toFixed(1).padStart(5)}x`;
  });
  console.log(`  ${name.padEnd(22)} produce ${cells[0]}    consume ${cells[1]}`);
}

for (const sizeBytes of SIZES) {
  const values = valuesOf(sizeBytes);
  const count = Math.min(1_000_000, Math.ceil(totalBytes / sizeBytes));
  console.log(`\nvalues of ${sizeBytes} bytes  (${count.toLocaleString('en')} records)`);
  await floor(values, count);
  const base = await floor(values, count);
  row('floor', sizeBytes, base, base);
  for (const acks of ALL_ACKS) {
    for (const codec of CODECS) {
      const found = await measure(values, count, acks, codec);
      row(`acks ${acks}, ${codec}`, sizeBytes, found, base);
    }
  }
}
keep(settings, { title: 'sizes of values', unit: 'per second', figures });
