/** What a commit keeps beside an input's offset, so that a restart decides lateness as before. */
export interface OffsetMetadata {
  /** The input's time at the commit. */
  readonly timeMs: number;
  /** For a repartition topic: the time of each upstream task. */
  readonly upstreams: readonly number[];
  /** The time of each operator with windows, by the name of its store. */
  readonly stores: ReadonlyMap<string, number>;
}

const VERSION = 'm1';
const RADIX = 36;
/** -Infinity. */
const NONE = '-';

/**
 * As text, because Kafka's committed offsets carry a string of at most 4096 bytes: version, times
 * in base 36, and the upstream tasks as distances from the slowest. Enough for some 500 of them.
 */
export function encodeOffsetMetadata({ timeMs, upstreams, stores }: OffsetMetadata): string {
  const finite = upstreams.filter((each) => each !== -Infinity);
  const base = finite.length === 0 ? 0 : Math.min(...finite);
  const distances = upstreams.map((each) => text(each - base));
  const times = [...stores].map(([store, storeMs]) => `${store}=${text(storeMs)}`);
  return [VERSION, text(timeMs), text(base), distances.join(), times.join()].join(';');
}

/** Parses it; undefined for the commit of another program. */
export function decodeOffsetMetadata(metadata: string): OffsetMetadata | undefined {
  const [version, timeMs = NONE, base = '0', distances = '', times] = metadata.split(';');
  if (version !== VERSION || times === undefined) return undefined;
  const start = number(base);
  const stores = list(times).map((each): [string, number] => {
    const [store = '', storeMs = NONE] = each.split('=');
    return [store, number(storeMs)];
  });
  return {
    timeMs: number(timeMs),
    upstreams: list(distances).map((each) => start + number(each)),
    stores: new Map(stores),
  };
}

function list(items: string): string[] {
  return items === '' ? [] : items.split(',');
}

function text(timeMs: number): string {
  return timeMs === -Infinity ? NONE : timeMs.toString(RADIX);
}

function number(part: string): number {
  return part === NONE ? -Infinity : parseInt(part, RADIX);
}
