import { expect, test } from 'vitest';
import { roundTrip } from './serdes.suite.ts';
import { deserializeBytes, serializeToBytes } from './serde.ts';
import { json } from './text.ts';
import { validated, type StandardSchema } from './validated.ts';

interface Order {
  readonly id: number;
  readonly note: string;
}

/** A schema as zod and its like offer it: `id` must be a number, `note` has a default. */
const order: StandardSchema<Order> = {
  '~standard': {
    version: 1,
    vendor: 'by-hand',
    validate(value) {
      const { id, note = 'none' } = value as Partial<Order>;
      if (typeof id === 'number') return { value: { id, note } };
      return {
        issues: [
          { message: 'must be a number', path: ['order', { key: 'id' }, 0] },
          { message: 'is no order' },
        ],
      };
    },
  },
};

const bad = { id: 'x' } as unknown as Order;

test('[SERDE-8] a value that fits passes both ways', () => {
  const serde = validated(order, json());
  expect(serde.name).toBe('validated(json)');
  expect(roundTrip(serde, { id: 1, note: 'hello' })).toEqual({ id: 1, note: 'hello' });
});

test('[SERDE-8] what the schema makes of a value is written and read', () => {
  const serde = validated(order, json());
  const written = serializeToBytes(serde, { id: 1 } as Order);
  expect(written.toString()).toBe('{"id":1,"note":"none"}');
  expect(deserializeBytes(serde, Buffer.from('{"id":2}'))).toEqual({ id: 2, note: 'none' });
});

test('[SERDE-8] a value that does not fit is refused both ways, with every issue', () => {
  const serde = validated(order, json());
  const message = 'order.id.0: must be a number; is no order';
  expect(() => serializeToBytes(serde, bad)).toThrow(message);
  expect(() => deserializeBytes(serde, Buffer.from('{"id":"x"}'))).toThrow(message);
});

test('[SERDE-8] a schema that validates asynchronously is refused', () => {
  const later: StandardSchema<Order> = {
    '~standard': {
      version: 1,
      vendor: 'slow',
      validate: (value) => Promise.resolve({ value: value as Order }),
    },
  };
  const write = () => serializeToBytes(validated(later, json()), { id: 1, note: '' });
  expect(write).toThrow('the slow schema validates asynchronously; a serde cannot wait');
});
