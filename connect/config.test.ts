import { inspect } from 'node:util';
import { describe, expect, expectTypeOf, test } from 'vitest';
import type { StandardSchema } from '../core/index.ts';
import { connectFailure } from '../test/kit/connect.ts';
import {
  configSchema,
  explainConfig,
  field,
  parseConfig,
  type Secret,
  type ConfigOf,
} from './config.ts';

const schema = configSchema(
  {
    url: field.string({ doc: 'Where to read.' }),
    intervalMs: field.integer({ doc: 'How long to wait.', default: 1_000, min: 1, max: 60_000 }),
    ratio: field.number({ doc: 'How much.', default: 0.5 }),
    follow: field.boolean({ doc: 'Whether to go on.', default: false }),
    mode: field.choice(['fast', 'safe'], { doc: 'How.', default: 'safe' }),
    tags: field.list({ doc: 'Labels.', default: [] }),
    extra: field.object({ doc: 'More.', optional: true }),
    token: field.secret({ doc: 'Names the caller.', optional: true }),
  },
  ({ mode, intervalMs }) => {
    const isFit = mode !== 'fast' || intervalMs <= 1_000;
    return isFit
      ? []
      : [{ field: 'intervalMs', problem: 'it must be 1000 at most with mode fast' }];
  },
);

describe('[CONNECT-CONFIG-1] a config', () => {
  test('has defaults, and types', async () => {
    const config = await parseConfig('reader', schema, { url: 'http://a' });
    expect(config).toEqual({
      ...{ url: 'http://a', intervalMs: 1_000, ratio: 0.5, follow: false, mode: 'safe', tags: [] },
      ...{ extra: undefined, token: undefined },
    });
    expectTypeOf(config.mode).toEqualTypeOf<'fast' | 'safe'>();
    expectTypeOf(config.intervalMs).toEqualTypeOf<number>();
    expectTypeOf(config.token).toEqualTypeOf<Secret | undefined>();
    expectTypeOf<ConfigOf<typeof schema>>().toEqualTypeOf<typeof config>();
    // @ts-expect-error -- the default is none of the choices
    field.choice(['fast', 'safe'], { doc: 'How.', default: 'slow' });
    // @ts-expect-error -- a field says what it means
    field.string({ default: 'a' });
  });

  test('takes numbers, booleans and lists as text, too', async () => {
    const given = { url: 'a', intervalMs: '20', ratio: '1e-3', follow: 'true', tags: 'a, b' };
    expect(await parseConfig('reader', schema, given)).toMatchObject({
      ...{ intervalMs: 20, ratio: 0.001, follow: true, tags: ['a', 'b'] },
    });
  });

  test('is explained field by field', () => {
    expect(explainConfig(schema).slice(0, 4)).toEqual([
      'url: a string that is not empty',
      '  Where to read.',
      'intervalMs: an integer, 1 to 60000; default 1000',
      '  How long to wait.',
    ]);
  });
});

describe('[CONNECT-CONFIG-2] mistakes', () => {
  test('are told all at once', async () => {
    const given = {
      ...{ intervallMs: 5, intervalMs: 0, ratio: 'much', follow: 'yes', mode: 'slow', tags: [7] },
    };
    const { code, message, details } = await connectFailure(parseConfig('reader', schema, given));
    expect(code).toBe('INVALID_CONFIG');
    expect(details['issues']).toEqual([
      { field: 'intervallMs', problem: 'there is no such field; did you mean intervalMs?' },
      { field: 'url', problem: 'it is missing; it must be a string that is not empty' },
      { field: 'intervalMs', problem: 'it must be an integer, 1 to 60000, not 0' },
      { field: 'ratio', problem: 'it must be a number, not "much"' },
      { field: 'follow', problem: 'it must be true or false, not "yes"' },
      { field: 'mode', problem: 'it must be "fast" or "safe", not "slow"' },
      {
        field: 'tags',
        problem: 'it must be a list of strings, or one string with commas, not [7]',
      },
    ]);
    expect(message).toMatch(/^the config of reader has 7 mistakes: intervallMs: .*; url: .*; /);
  });

  test('of several fields together are told once each is right', async () => {
    const given = { url: 'a', mode: 'fast', intervalMs: 2_000 };
    expect((await connectFailure(parseConfig('reader', schema, given))).message).toBe(
      'the config of reader has a mistake: intervalMs: it must be 1000 at most with mode fast',
    );
    expect((await connectFailure(parseConfig('reader', schema, 7))).message).toMatch(
      /it must be an object, not 7$/,
    );
  });

  test('are those of any Standard Schema', async () => {
    const other: StandardSchema<{ a: string }> = {
      '~standard': {
        ...{ version: 1, vendor: 'other' },
        validate: async () => ({ issues: [{ message: 'too short', path: ['a', { key: 0 }] }] }),
      },
    };
    expect((await connectFailure(parseConfig('x', other, {}))).details['issues']).toEqual([
      { field: 'a.0', problem: 'too short' },
    ]);
  });
});

test('[CONNECT-CONFIG-3] a secret is printed nowhere', async () => {
  const { token } = await parseConfig('reader', schema, { url: 'a', token: 'swordfish' });
  expect(token?.reveal()).toBe('swordfish');
  const printed = [String(token), JSON.stringify({ token }), inspect({ token }), inspect(token)];
  expect(printed.join()).not.toContain('swordfish');
  expect(printed[1]).toBe('{"token":"[secret]"}');
  const wrong = connectFailure(parseConfig('reader', schema, { url: 'a', token: ['swordfish'] }));
  expect(JSON.stringify(await wrong)).not.toContain('swordfish');
});
