import { closest } from 'fastest-levenshtein';
import { LogError } from './errors.ts';

/** Checks the value of one option. Returns what is allowed, or undefined if the value is valid. */
export type OptionCheck = (value: unknown) => string | undefined;

/** The options of one call: every one that exists, with its check. */
export type OptionChecks<Options> = { readonly [Name in keyof Required<Options>]: OptionCheck };

/**
 * Checks the options that a user gave, at the border.
 *
 * @param what the options are of, for messages: `openLog`.
 * @param required those that must be given: a file may be run without the compiler that says so.
 * @throws LogError UNKNOWN_OPTION with the nearest known name, INVALID_OPTION with what is allowed.
 */
export function checkOptions<Options extends object>(
  what: string,
  options: Options,
  checks: OptionChecks<Options>,
  required: readonly (keyof Options & string)[] = [],
): void {
  checkArgument(what, 'options', options, plain);
  for (const [option, value] of Object.entries(options)) {
    // What every object inherits, such as `constructor`, is no option.
    const isKnown = Object.hasOwn(checks, option);
    const check = isKnown ? checks[option as keyof Options] : undefined;
    if (check === undefined) throw unknownOption(what, option, Object.keys(checks));
    if (value === undefined) continue;
    checkArgument(what, option, value, check);
  }
  for (const option of required) {
    const value = options[option];
    if (value !== undefined) continue;
    const allowed = checks[option](undefined) ?? 'given';
    const message = `${what}: ${option} is missing; it must be ${allowed}`;
    throw new LogError('INVALID_OPTION', message, { option, value: show(value), allowed });
  }
}

/**
 * Checks one argument of a user.
 *
 * @throws LogError INVALID_OPTION with what is allowed.
 */
export function checkArgument(
  what: string,
  option: string,
  given: unknown,
  check: OptionCheck,
): void {
  const allowed = check(given);
  if (allowed === undefined) return;
  const value = show(given);
  const message = `${what}: ${option} must be ${allowed}, not ${value}`;
  throw new LogError('INVALID_OPTION', message, { option, value, allowed });
}

/** The options that were given: one set to undefined was not, and must not hide its default. */
export function given<Options extends object>(options: Options): Options {
  const entries = Object.entries(options).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as Options;
}

function unknownOption(what: string, option: string, known: readonly string[]): LogError {
  const nearest = known.length === 0 ? undefined : closest(option, known);
  const hint = nearest === undefined ? 'it has no options' : `did you mean ${nearest}?`;
  const details = nearest === undefined ? { option } : { option, nearest };
  return new LogError('UNKNOWN_OPTION', `${what} has no option ${option}; ${hint}`, details);
}

/** A value as messages show it: short, and without throwing. */
export function show(value: unknown): string {
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'number') return String(value); // JSON has no NaN
  const text = JSON.stringify(value) as string | undefined;
  const shown = text ?? String(value);
  return shown.length > 80 ? `${shown.slice(0, 77)}...` : shown;
}

/** Accepts an integer within the range; the range is part of the message. */
export function integer(min: number, max = Number.MAX_SAFE_INTEGER): OptionCheck {
  const range = max === Number.MAX_SAFE_INTEGER ? `${min} or more` : `${min} to ${max}`;
  return (value) =>
    Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max
      ? undefined
      : `an integer, ${range}`;
}

/** Accepts one of the values given. */
export function oneOf(...values: readonly (string | number | boolean)[]): OptionCheck {
  return (value) =>
    values.includes(value as string) ? undefined : values.map((each) => show(each)).join(' or ');
}

/** Accepts a string of at least one character. */
export const text: OptionCheck = (value) =>
  typeof value === 'string' && value.length > 0 ? undefined : 'a string that is not empty';

/** Accepts a boolean. */
export const flag: OptionCheck = (value) =>
  typeof value === 'boolean' ? undefined : 'true or false';

/** Accepts a function. */
export const callback: OptionCheck = (value) =>
  typeof value === 'function' ? undefined : 'a function';

/** Accepts any object: what it is used for will show whether it fits. */
export const instance: OptionCheck = (value) =>
  typeof value === 'object' && value !== null ? undefined : 'an object';

/** Accepts an object that can do these, or a function that can; `what` says what such a one is. */
export function able(what: string, ...methods: readonly string[]): OptionCheck {
  return (value) => {
    const isAble =
      (typeof value === 'object' || typeof value === 'function') &&
      value !== null &&
      methods.every((name) => typeof (value as Record<string, unknown>)[name] === 'function');
    return isAble ? undefined : what;
  };
}

/** Accepts a list. */
export const listOf =
  (what: string): OptionCheck =>
  (value) =>
    Array.isArray(value) ? undefined : `a list of ${what}`;

/** Accepts an object with named fields. */
export const plain: OptionCheck = (value) =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? undefined : 'an object';

/** Accepts anything. */
export const anything: OptionCheck = () => undefined;
