import { customSerde, type Serde } from '../../core/index.ts';
import { configSchema } from '../config.ts';
import type { ConverterPlugin } from '../plugin.ts';
import { simpleText } from './simple-text.ts';
import { parseValue } from './value-parser.ts';

const NO_CONFIG = configSchema({});

/** Values as text, and the values that stand in text: Kafka Connect's `SimpleHeaderConverter`. */
export const SIMPLE_HEADERS: Serde<unknown> = customSerde<unknown>({
  name: 'simple',
  serialize: (value) => Buffer.from(simpleText(value)),
  deserialize: (bytes) => parseValue(Buffer.from(bytes).toString('utf8')),
});

/** `simple`, the converter of headers unless a definition names another one. */
export const simpleHeaderConverter: ConverterPlugin = {
  kind: 'converter',
  name: 'simple',
  doc: 'For headers: values as text, and the numbers, times, lists and maps that text holds.',
  config: NO_CONFIG,
  create: () => SIMPLE_HEADERS,
};
