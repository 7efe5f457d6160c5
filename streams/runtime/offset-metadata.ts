import { StreamsError } from '../errors.ts';

/** What a commit keeps beside an input's offset, so that a restart decides lateness as before. */
export interface OffsetMetadata {
  /** The input's time at the commit. */
  readonly timeMs: number;
  /** For a repartition topic: the time of each upstream task. */
  readonly upstreams: readonly number[];
  /** The same: whether it is idle (1), or has ended (2). */
  readonly flags: readonly number[];
  /** The time of each operator that acts on it, by the name of its node. */
  readonly operators: ReadonlyMap<string, number>;
  /** When each wall-clock punctuation is due, by a name that it has at each start. */
  readonly punctuations: ReadonlyMap<string, number>;
}

/** `m1` had the operators' times under the names of their stores. */
const VERSION = 'm2';
const ANY_VERSION = /^m\d+;/;
const RADIX = 36;
/** -Infinity. */
const NONE = '-';

/**
 * As text, because Kafka's committed offsets carry a string of at most 4096 bytes: version, times
 * in base 36, and the upstream tasks as distances from the slowest. Enough for some 500 of them.
 */
export function encodeOffsetMetadata(metadata: OffsetMetadata): string {
  const { timeMs, upstreams, flags, operators, punctuations } = metadata;
  const finite = upstreams.filter((each) => each !== -Infinity);
  const base = finite.length === 0 ? 0 : Math.min(...finite);
  const distances = upstreams.map((each) => text(each - base));
  const parts = [VERSION, text(timeMs), text(base), distances.join(), named(operators)];
  const isFlagged = flags.some((each) => each !== 0);
  if (punctuations.size > 0 || isFlagged) parts.push(named(punctuations));
  if (isFlagged) parts.push(flags.join(''));
  return parts.join(';');
}

/**
 * Parses it; undefined for the commit of another program.
 *
 * @throws StreamsError COMMIT_UNREADABLE for that of another version: without its times, windows
 *   that have closed would come back.
 */
export function decodeOffsetMetadata(
  applicationId: string,
  metadata: string,
): OffsetMetadata | undefined {
  const [version, timeMs = NONE, base = '0', distances = '', times, dues = '', flags = ''] =
    metadata.split(';');
  if (version !== VERSION && ANY_VERSION.test(metadata)) throw unreadable(applicationId, version);
  if (version !== VERSION || times === undefined) return undefined;
  const start = number(base);
  return {
    timeMs: number(timeMs),
    upstreams: list(distances).map((each) => start + number(each)),
    flags: Array.from(flags, Number),
    operators: byName(times),
    punctuations: byName(dues),
  };
}

/** True of what `decodeOffsetMetadata` reads. */
export function isOffsetMetadata(metadata: string): boolean {
  return metadata.startsWith(`${VERSION};`);
}

function unreadable(applicationId: string, version = ''): StreamsError {
  const message =
    `another version of Millrace committed the offsets of ${applicationId}, in format ` +
    `${version}, and this one reads ${VERSION}: finish its input with that version, or delete ` +
    `the group ${applicationId}, its internal topics and its state to process everything again`;
  return new StreamsError('COMMIT_UNREADABLE', message, { applicationId, version });
}

/** Names with a time each. */
function named(times: ReadonlyMap<string, number>): string {
  const each = [...times].map(([name, timeMs]) => `${encodeURIComponent(name)}=${text(timeMs)}`);
  return each.join();
}

function byName(items: string): Map<string, number> {
  const times = list(items).map((each): [string, number] => {
    const [name = '', timeMs = NONE] = each.split('=');
    return [decodeURIComponent(name), number(timeMs)];
  });
  return new Map(times);
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
