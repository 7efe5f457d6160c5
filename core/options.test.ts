import { expect, test } from 'vitest';
import { LogError } from './errors.ts';
import { anything, checkOptions, integer } from './options.ts';

const CHECKS = { count: integer(1), other: anything };

test.each(Object.getOwnPropertyNames(Object.prototype))(
  '[PRODUCER-12] an option called %s is unknown, although every object inherits one',
  (name) => {
    // As JSON.parse makes it: `__proto__` is a property of its own here.
    const options = JSON.parse(`{"count":1,${JSON.stringify(name)}:1}`) as object;
    let failure: unknown;
    try {
      checkOptions('make', options, CHECKS as never);
    } catch (error) {
      failure = error;
    }
    expect(LogError.is(failure, 'UNKNOWN_OPTION') && failure.details.option).toBe(name);
  },
);
