import type { Headers } from '../core/index.ts';
import { listOf, type OptionCheck } from '../core/internal.ts';

/** A record on its way through a connector. */
export interface ConnectRecord {
  /** Of a source: the topic that it goes to. Of a sink: the one that it comes from. */
  readonly topic: string;
  /** Where a sink's record stands in its topic; undefined of a source's, which is not there yet. */
  readonly partition: number | undefined;
  readonly offset: number | undefined;
  readonly key: unknown;
  readonly value: unknown;
  /** Event time; undefined of a source's record without one, which gets the time of writing. */
  readonly timestampMs: number | undefined;
  readonly headers: Headers;
}

/**
 * Changes a record on its way from a source into the log, or from the log into a sink; null drops
 * it. It returns another object, or the same one if nothing changes, and leaves what it was given
 * as it was. Synchronous. If it throws, the record is bad input.
 *
 * A source's record may get another topic. One that the connector does not name is created as the
 * topic that the record was for, and its keys and values are written as there. The `partition` and
 * the `offset` of a sink's record tell where it was read, and stay.
 */
export type Transform = (record: ConnectRecord) => ConnectRecord | null;

/** Applies transforms in their order; null if one of them drops the record. */
export function applyTransforms(
  transforms: readonly Transform[],
  record: ConnectRecord,
): ConnectRecord | null {
  let current: ConnectRecord | null = record;
  for (const transform of transforms) {
    current = transform(current);
    if (current === null) return null;
  }
  return current;
}

/** Accepts a list of transforms. */
export const transformList: OptionCheck = (value) => {
  const isList = Array.isArray(value) && value.every((each) => typeof each === 'function');
  return isList ? undefined : listOf('functions of a record')(undefined);
};
