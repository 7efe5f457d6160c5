/** Chooses the partition of a record: an integer in [0, partitions). */
export type Partitioner = (record: {
  readonly topic: string;
  readonly key: unknown;
  readonly value: unknown;
  /** The serialised key, or null; valid during the call only. */
  readonly keyBytes: Uint8Array | null;
  readonly partitions: number;
}) => number;

/**
 * How partitions are chosen: `default` by the key, and records without one stay together for a
 * batch (Kafka's default, KIP-794); `uniform_sticky` the same without a look at keys (Kafka's
 * `partitioner.ignore.keys`); `round_robin` each record in turn, without a look at keys (Kafka's
 * `RoundRobinPartitioner`).
 */
export type PartitionStrategy = 'default' | 'round_robin' | 'uniform_sticky';

/**
 * Kafka's murmur2 (`Utils.murmur2`) over `bytes[start, end)`, as a signed 32-bit number: the same
 * key goes to the same partition whichever client wrote it.
 */
export function murmur2(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start;
  const seed = 0x9747b28c;
  const multiplier = 0x5bd1e995;
  let hash = seed ^ length;
  let position = start;
  for (const last = end - 4; position <= last; position += 4) {
    let word =
      bytes[position]! |
      (bytes[position + 1]! << 8) |
      (bytes[position + 2]! << 16) |
      (bytes[position + 3]! << 24);
    word = Math.imul(word, multiplier);
    word ^= word >>> 24;
    word = Math.imul(word, multiplier);
    hash = Math.imul(hash, multiplier) ^ word;
  }
  const rest = end - position;
  if (rest > 2) hash ^= bytes[position + 2]! << 16;
  if (rest > 1) hash ^= bytes[position + 1]! << 8;
  if (rest > 0) hash = Math.imul(hash ^ bytes[position]!, multiplier);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, multiplier);
  return hash ^ (hash >>> 15);
}

/** The partition of a record with a key, by Kafka's rule. */
export function partitionOfKey(
  key: Uint8Array,
  start: number,
  end: number,
  partitions: number,
): number {
  return (murmur2(key, start, end) & 0x7fff_ffff) % partitions;
}
