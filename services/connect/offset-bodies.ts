import type { ConnectorKind, ConnectorOffset } from '../../connect/index.ts';
import { badBody } from '../http/json-body.ts';
import { refusal } from '../http/route.ts';

/**
 * Offsets as a caller sent them. The partitions and offsets of a sink may be written as text.
 *
 * @throws LogError REQUEST_REFUSED: as Kafka Connect's SinkUtils words it.
 */
export function parseOffsets(given: unknown, kind: ConnectorKind): ConnectorOffset[] {
  if (!Array.isArray(given)) throw badBody('offsets must be a list');
  return given.map((each: unknown) => {
    if (!isObject(each)) throw badBody('each of the offsets must be an object');
    const unknown = Object.keys(each).find((name) => name !== 'partition' && name !== 'offset');
    if (unknown !== undefined) {
      throw badBody(`Unrecognized field "${unknown}"; there are partition, offset`);
    }
    const { partition, offset = null } = each;
    if (offset !== null && !isObject(offset)) throw badBody('offset must be an object or null');
    if (partition !== undefined && partition !== null && !isObject(partition)) {
      throw badBody('partition must be an object');
    }
    const parse = kind === 'sink' ? sinkOffset : sourceOffset;
    return parse(partition ?? null, offset) as ConnectorOffset;
  });
}

type Fields = Readonly<Record<string, unknown>>;

function sourceOffset(partition: Fields | null, offset: Fields | null): object {
  if (partition === null) throw refusal(400, 'The partition of a source offset cannot be null');
  const wrong = Object.entries(partition).find(([, value]) => typeof value !== 'string');
  if (wrong === undefined) return { partition, offset };
  const [name] = wrong;
  throw refusal(400, `The partition of a source has texts only, which ${name} is not`);
}

function sinkOffset(partition: Fields | null, offset: Fields | null): object {
  if (partition === null) {
    throw refusal(400, 'The partition for a sink connector offset cannot be null or missing');
  }
  const { kafka_topic: topic, kafka_partition: number } = partition;
  if (topic === undefined || number === undefined) {
    const keys = "'kafka_topic' and 'kafka_partition'";
    throw refusal(400, `The partition for a sink connector offset must contain the keys ${keys}`);
  }
  if (topic === null) {
    throw refusal(400, 'Kafka topic names must be valid strings and may not be null');
  }
  if (number === null) {
    throw refusal(400, 'Kafka partitions must be valid numbers and may not be null');
  }
  const place = {
    kafka_topic: textOf(topic),
    kafka_partition: wholeNumber(number, 'Kafka partition', 'Partition'),
  };
  if (offset === null) return { partition: place, offset: null };
  if (offset['kafka_offset'] === undefined) {
    const key = "the key 'kafka_offset'";
    const message = `The offset for a sink connector should either be null or contain ${key}`;
    throw refusal(400, message);
  }
  const next = wholeNumber(offset['kafka_offset'], 'Kafka offset', 'Offset');
  return { partition: place, offset: { kafka_offset: next } };
}

function wholeNumber(given: unknown, what: string, values: string): number {
  const text = textOf(given);
  const number = /^[-+]?\d+$/.test(text) ? Number(text) : NaN;
  if (Number.isSafeInteger(number)) return number;
  const message =
    `Failed to parse the following ${what} value in the provided offsets: '${text}'. ` +
    `${values} values for sink connectors need to be integers.`;
  throw refusal(400, message);
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
