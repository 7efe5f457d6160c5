import {
  bytes,
  double,
  int32,
  int64,
  json,
  msgpack,
  string,
  uuid,
  type Serde,
} from '../core/index.ts';

/** The serdes that configs name: Kafka Connect's converters. */
export const CONVERTERS = [
  'json',
  'string',
  'bytes',
  'int32',
  'int64',
  'double',
  'uuid',
  'msgpack',
] as const;
/** The name of one of them. */
export type ConverterName = (typeof CONVERTERS)[number];

/** The serde of a name. */
export function converterOf(name: ConverterName): Serde<unknown> {
  const serdes: Readonly<Record<ConverterName, () => unknown>> = {
    ...{ json, string, bytes, int32, int64, double, uuid, msgpack },
  };
  return serdes[name]() as Serde<unknown>;
}
