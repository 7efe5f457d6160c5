import { LogError, type Log } from '../../core/index.ts';
import { commitOffsets } from '../../core/internal.ts';
import type { JsonValue, SourcePartition } from '../connector.ts';
import { ConnectError } from '../errors.ts';
import { connectOffsets, offsetKey, readSourceOffsets } from '../runtime/source-offsets.ts';
import type { MadeConnector } from './definition.ts';
import type { ConnectorKind } from './worker-store.ts';

/**
 * How far a connector has come in one partition, in Kafka Connect's form: a source's own, or of a
 * sink `{ kafka_topic, kafka_partition }` and `{ kafka_offset }`, the next one that it reads.
 */
export interface ConnectorOffset {
  readonly partition: Readonly<Record<string, JsonValue>>;
  /** Null to forget it: the connector begins at the start of the partition. */
  readonly offset: Readonly<Record<string, JsonValue>> | null;
}

/** The committed offsets of a connector; none of a sink that keeps them with its output. */
export async function readOffsets(
  log: Log,
  name: string,
  kind: ConnectorKind,
): Promise<ConnectorOffset[]> {
  if (kind === 'unknown') return [];
  if (kind === 'source') {
    const found = await readSourceOffsets(log, name);
    return Array.from(found, ([partition, offset]) => {
      return { partition: JSON.parse(partition) as SourcePartition, offset };
    });
  }
  const groupId = `connect-${name}`;
  const { offsets } = await log.api.offsetFetch({ groupId, requireStable: false });
  return offsets
    .filter(({ offset }) => offset >= 0)
    .map(({ topic, partition, offset }) => ({
      partition: { kafka_topic: topic, kafka_partition: partition },
      offset: { kafka_offset: offset },
    }));
}

/**
 * Sets offsets of a connector that is stopped; those that are not named stay.
 *
 * @throws ConnectError INVALID_STATE for a sink that keeps its offsets with its output.
 */
export async function writeOffsets(
  log: Log,
  made: MadeConnector,
  changes: readonly ConnectorOffset[],
): Promise<void> {
  const { name } = made.definition;
  if (made.kind === 'source') {
    // Its own id: an earlier run that still commits is fenced.
    await using producer = log.producer({ transactionalId: `connect-${name}` });
    await producer.transaction((transaction) => {
      for (const { partition, offset } of changes) {
        const key = offsetKey(name, partition as SourcePartition);
        transaction.send(connectOffsets, { key, value: offset });
      }
    });
    return;
  }
  if (made.connector.delivery === 'transactional') throw ownOffsets(name);
  const places = changes.map(placeOf);
  const set = places.flatMap(({ offset, ...place }) => {
    return offset === undefined ? [] : [{ ...place, offset }];
  });
  const groupId = `connect-${name}`;
  const gone = places.filter(({ offset }) => offset === undefined);
  await commitOffsets(log, groupId, set);
  if (gone.length > 0) await log.admin().deleteGroupOffsets(groupId, gone);
}

/**
 * Forgets all offsets of a connector that is stopped.
 *
 * @throws ConnectError as `writeOffsets`
 */
export async function resetOffsets(log: Log, made: MadeConnector): Promise<void> {
  const known = await readOffsets(log, made.definition.name, made.kind);
  const changes = known.map(({ partition }) => ({ partition, offset: null }));
  await writeOffsets(log, made, changes);
}

interface Place {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number | undefined;
}

/** @throws LogError INVALID_OPTION */
function placeOf({ partition: given, offset }: ConnectorOffset): Place {
  const { kafka_topic: topic, kafka_partition: partition } = given;
  const next = offset?.['kafka_offset'];
  const isPlace = typeof topic === 'string' && Number.isSafeInteger(partition);
  const isOffset = offset === null || (Number.isSafeInteger(next) && (next as number) >= 0);
  if (isPlace && isOffset) {
    return { topic, partition: partition as number, offset: next as number | undefined };
  }
  const allowed = '{ kafka_topic, kafka_partition } with { kafka_offset } or null';
  const value = JSON.stringify({ partition: given, offset });
  const message = `the offset of a sink must be ${allowed}, not ${value}`;
  throw new LogError('INVALID_OPTION', message, { option: 'offsets', value, allowed });
}

function ownOffsets(name: string): ConnectError {
  const message =
    `${name} keeps its offsets with its output, in one step: to read again, give it another ` +
    'output, or remove this one';
  const details = { operation: 'alterOffsets', state: 'transactional' };
  return new ConnectError('INVALID_STATE', message, details);
}
