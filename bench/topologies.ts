/** What the benchmarks of topologies share: the loop to compare with, and the application. */
import { openLog, type Topic } from 'millrace';
import { minutes, StreamsApp, StreamsBuilder, type StreamsOptions } from 'millrace/streams';
import { FloorWriter, floorRead } from './floor.ts';
import { timed, type Contender } from './harness.ts';

/** An input record: its value has its key and time. */
export interface Row {
  readonly key: string;
  readonly at: number;
}

type Write = (line: string) => void;

/** What a hand-written loop does. */
export interface Loop<R> {
  readonly visit: (row: R) => void;
  /** Writes what is left at the end. */
  readonly end?: () => void;
}

/** A hand-written loop that reads and parses rows, and writes what `begin` makes of them. */
export function floor<R extends Row>(options: {
  readonly name: string;
  readonly records: number;
  readonly rowAt: (index: number) => R;
  readonly begin: (write: Write) => Loop<R>;
}): Contender {
  const { name, records, rowAt, begin } = options;
  return {
    name,
    run: (directory) => {
      const input = new FloorWriter(directory);
      for (let index = 0; index < records; index++) input.write(JSON.stringify(rowAt(index)));
      input.close();
      return timed(records, () => {
        const output = new FloorWriter(directory, { name: 'out.log', isSynced: true });
        const { visit, end } = begin((line) => output.write(line));
        floorRead(directory, (source, from, to) => {
          visit(JSON.parse(source.toString('utf8', from, to)) as R);
        });
        end?.();
        output.close();
      });
    },
  };
}

/** Counts the rows of each key and minute. */
export function countMinutes(write: Write): Loop<Row> {
  const windows = new Map<number, Map<string, number>>();
  return {
    visit: ({ key, at }) => {
      const window = at - (at % minutes(1));
      let keys = windows.get(window);
      if (keys === undefined) windows.set(window, (keys = new Map<string, number>()));
      keys.set(key, (keys.get(key) ?? 0) + 1);
    },
    end: () => {
      for (const keys of windows.values()) for (const [key, n] of keys) write(`${key} ${n}`);
    },
  };
}

/** A topology with a commit every 100 ms, from the first record to the last. */
export function application<R extends Row>(options: {
  readonly name: string;
  readonly records: number;
  readonly rowAt: (index: number) => R;
  /** Rows go to each in turn. */
  readonly inputs: readonly Topic<string, R>[];
  readonly build: (builder: StreamsBuilder) => void;
  /** Must not be empty at the end. */
  readonly output: Pick<Topic<unknown, unknown>, 'name'>;
  /** Default: exactly once. */
  readonly guarantee?: StreamsOptions['processingGuarantee'];
}): Contender {
  const { name, records, rowAt, inputs, build, output, guarantee = 'exactly_once' } = options;
  return {
    name,
    run: async (directory) => {
      await using log = await openLog(directory);
      const producer = log.producer({ acks: 1 });
      const writers = await Promise.all(inputs.map((topic) => producer.writer(topic)));
      for (let index = 0; index < records; index++) {
        const row = rowAt(index);
        writers[index % writers.length]?.write(row.key, row, row.at);
        if (producer.isFull) await producer.room();
      }
      await producer.flush();
      const builder = new StreamsBuilder();
      build(builder);
      const app = new StreamsApp(log, builder.build(), {
        applicationId: 'bench',
        commitIntervalMs: 100,
        processingGuarantee: guarantee,
      });
      const measured = await timed(records, async () => {
        await app.start();
        await app.finish();
      });
      const [offsets] = await log.admin().offsets(output.name);
      if ((offsets?.latest ?? 0) === 0) throw new Error(`${name} wrote nothing`);
      return measured;
    },
  };
}
