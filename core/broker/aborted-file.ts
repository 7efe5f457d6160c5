import type { AbortedDigest, KnownAborted } from '../log/segment/transaction-index.ts';
import { partitionKey } from '../protocol/topic-partition.ts';
import type { TopicPartition } from '../protocol/broker-api.ts';
import { crc32c } from '../record/crc32c.ts';
import { storageFailure } from '../storage/failure.ts';
import type { FileSystem } from '../storage/file-system.ts';

/** The record of one partition. */
interface AbortedEntry extends TopicPartition {
  readonly known: KnownAborted;
}

const VERSION = '1';

/**
 * What every `.txnindex` was when the recovery points were recorded:
 *
 *     1
 *     <CRC-32C of all behind this line, 8 hexadecimal digits>
 *     <topic> <partition> <upTo> [<base offset>:<entries>:<their CRC-32C>]...
 *
 * with a line for each partition that has a recovery point.
 */
export function encodeAbortedFile(entries: readonly AbortedEntry[]): string {
  const lines = entries.map(({ topic, partition, known }) => {
    const digests = [...known.segments].map(
      ([base, { count, crc }]) => `${base}:${count}:${hex(crc)}`,
    );
    return `${[topic, partition, known.upTo, ...digests].join(' ')}\n`;
  });
  const body = lines.join('');
  return `${VERSION}\n${crcOf(body)}\n${body}`;
}

/**
 * Reads the file, by `topic-partition`. One that is missing, damaged or of a newer version records
 * nothing: it is only there to save the work of reading the logs.
 *
 * @throws LogError KAFKA_STORAGE_ERROR
 */
export async function readAbortedFile(
  fileSystem: Pick<FileSystem, 'readFile' | 'stat'>,
  path: string,
): Promise<ReadonlyMap<string, KnownAborted>> {
  try {
    if ((await fileSystem.stat(path)) === undefined) return new Map();
    return decodeAbortedFile(await fileSystem.readFile(path)) ?? new Map<string, KnownAborted>();
  } catch (cause) {
    throw storageFailure(path, 'read', cause);
  }
}

/** What a file records; undefined for a damaged one. */
export function decodeAbortedFile(content: Buffer): Map<string, KnownAborted> | undefined {
  const text = content.toString('latin1');
  const [, crc, body] = /^1\n([0-9a-f]{8})\n([^]*)$/.exec(text) ?? [];
  if (body === undefined || crc !== crcOf(body)) return undefined;
  const known = new Map<string, KnownAborted>();
  for (const line of body.split('\n').slice(0, -1)) {
    const [topic = '', partition, upTo, ...digests] = line.split(' ');
    const segments = new Map(digests.map(decodeDigest));
    known.set(partitionKey(topic, Number(partition)), { upTo: Number(upTo), segments });
  }
  return known;
}

function decodeDigest(digest: string): [number, AbortedDigest] {
  const [base, count, crc = ''] = digest.split(':');
  return [Number(base), { count: Number(count), crc: Number.parseInt(crc, 16) }];
}

function crcOf(body: string): string {
  const bytes = Buffer.from(body, 'latin1');
  return hex(crc32c(bytes, 0, bytes.length));
}

function hex(crc: number): string {
  return crc.toString(16).padStart(8, '0');
}
