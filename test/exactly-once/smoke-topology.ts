/**
 * What Kafka's system tests `SmokeTestClient` and `SmokeTestDriver` do (org.apache.kafka.streams
 * .tests in Kafka's `streams/`): keys `min-max`, each with every integer of that range once, so
 * that all final results are known by the key; windows, tables read back from the topics that the
 * application itself writes, joins of them, and final results of windows, of which there may be
 * exactly one each.
 */
import { double, int64, string, topic } from '../../core/index.ts';
import {
  days,
  hoppingWindow,
  minutes,
  seconds,
  StreamsBuilder,
  tumblingWindow,
  untilWindowCloses,
  type KTable,
  type Topology,
  type Windowed,
} from '../../streams/index.ts';
import { FLUSH } from './smoke-input.ts';

export const SMOKE_ID = 'smoke-test';
export const PARTITIONS = 2;

export const smokeTopic = (name: string) =>
  topic(name, { key: string(), value: int64(), partitions: PARTITIONS });
export const data = smokeTopic('data');
export const avg = topic('avg', { key: string(), value: double(), partitions: PARTITIONS });

export const DAY = tumblingWindow({ sizeMs: days(1), graceMs: minutes(1) });
export const TWO_DAYS = tumblingWindow({ sizeMs: days(2), graceMs: days(1) });
/** A shorter grace than in Kafka's test: windows close in every life, not only in the last ones. */
export const SMALL = hoppingWindow({ sizeMs: 2_000, advanceMs: 1_000, graceMs: seconds(3) });
export const TWO_SECONDS = tumblingWindow({ sizeMs: 2_000, graceMs: seconds(3) });

export function windowName({ key, windowStartMs, windowEndMs }: Windowed<string>): string {
  return `[${key}@${windowStartMs}/${windowEndMs}]`;
}

export function smokeTopology(): Topology {
  const builder = new StreamsBuilder();
  const stream = builder.stream(data, { nullKeys: 'fail' });
  stream.filterNot(({ key }) => key === FLUSH).to(smokeTopic('echo'));
  const grouped = stream.groupByKey();
  const value = int64();
  const emit = 'each';

  const min = grouped.windowedBy(DAY).aggregate(
    () => Number.MAX_SAFE_INTEGER,
    (known, record) => Math.min(known, record.value),
    { store: 'win-min', emit, value },
  );
  writeWindows(min, 'min-raw');
  writeWindows(min.suppress(untilWindowCloses(), { name: 'min-closed' }), 'min-suppressed');
  writeKeys(min, 'min');

  const small = grouped
    .windowedBy(SMALL)
    .reduce((left, right) => left + right, { store: 'win-small', emit });
  writeWindows(small, 'sws-raw');
  writeWindows(small.suppress(untilWindowCloses(), { name: 'sws-closed' }), 'sws-suppressed');

  const inTwoDays = (
    name: string,
    initial: number,
    add: (known: number, value: number) => number,
  ): void => {
    const table = grouped.windowedBy(TWO_DAYS).aggregate(
      () => initial,
      (known, record) => add(known, record.value),
      { store: `win-${name}`, emit, value },
    );
    writeKeys(table, name);
  };
  inTwoDays('max', Number.MIN_SAFE_INTEGER, Math.max);
  inTwoDays('sum', 0, (sum, more) => sum + more);
  const cnt = grouped.windowedBy(TWO_DAYS).count({ store: 'win-cnt', emit });
  writeKeys(cnt, 'cnt');
  writeWindows(grouped.windowedBy(TWO_SECONDS).count({ store: 'win-wcnt', emit }), 'wcnt');

  addTables(builder);
  return builder.build();
}

/** The topics that the application writes, read back as tables. */
function addTables(builder: StreamsBuilder): void {
  const tableOf = (name: string): KTable<string, number | null> =>
    builder.table(smokeTopic(name), { store: `${name}-table` });
  tableOf('max')
    .join(tableOf('min'), (max, min) => max - min)
    .toStream()
    .to(smokeTopic('dif'));
  const cnt = tableOf('cnt');
  tableOf('sum')
    .join(cnt, (sum, count) => sum / count, { value: double() })
    .toStream()
    .to(avg);
  cnt
    .groupBy((row) => ({ key: String(row.value), value: row.value }), {
      ...{ name: 'by-count', key: string(), value: int64() },
    })
    .aggregate(
      () => 0,
      (count) => count + 1,
      (count) => count - 1,
      { store: 'count-by-count', emit: 'each', value: int64() },
    )
    .toStream()
    .to(smokeTopic('tagg'));
}

function writeWindows(table: KTable<Windowed<string>, number | null>, name: string): void {
  table
    .toStream()
    .filterNot(({ key }) => key.key === FLUSH)
    .selectKey(({ key }) => windowName(key), { key: string() })
    .to(smokeTopic(name));
}

function writeKeys(table: KTable<Windowed<string>, number>, name: string): void {
  table
    .toStream(({ key }) => key.key, { key: string() })
    .filterNot(({ key }) => key === FLUSH)
    .to(smokeTopic(name));
}
