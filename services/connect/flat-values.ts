import type { ConfigField, ConfigFields } from '../../connect/index.ts';

/** Where a flat name leads: to a field, and perhaps into the object that it holds. */
export interface FieldPlace {
  readonly name: string;
  readonly inside: readonly string[];
}

/** `static.field` as `staticField`. */
export function camelCase(name: string): string {
  return name.replaceAll(/\.(\w)/g, (_, letter: string) => letter.toUpperCase());
}

/** `staticField` as `static.field`. */
export function dottedCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `.${letter.toLowerCase()}`);
}

/**
 * The field that a flat name means: the one of that name; the one of the name in camel case, so
 * that Kafka Connect's names fit; or, for `formatOptions.header`, a part of an object.
 */
export function placeOf(fields: ConfigFields, flat: string): FieldPlace | undefined {
  for (const name of [flat, camelCase(flat)]) {
    // Dotted ones only document the parts of an object.
    if (!name.includes('.') && Object.hasOwn(fields, name)) return { name, inside: [] };
  }
  const parts = flat.split('.');
  for (let count = parts.length - 1; count > 0; count--) {
    const name = camelCase(parts.slice(0, count).join('.'));
    if (Object.hasOwn(fields, name) && fields[name]!.type === 'object') {
      return { name, inside: parts.slice(count) };
    }
  }
  return undefined;
}

/** A text as the field takes it: objects and lists may be written as JSON. */
export function valueFor({ type }: ConfigField<unknown>, text: string): unknown {
  const start = text.trimStart().charAt(0);
  if (type === 'object' && start === '{') return jsonOr(text);
  if ((type === 'objects' || type === 'list') && start === '[') return jsonOr(text);
  return text;
}

/** A part of an object whose type nobody tells: JSON is what it says, anything else is text. */
export function looseValue(text: string): unknown {
  return jsonOr(text);
}

function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

/** A value as text, such that `valueFor` makes the same of it. */
export function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  if (Array.isArray(value) && value.every((each) => /^[^,[\s]+$/.test(String(each)))) {
    return value.join(',');
  }
  return JSON.stringify(value);
}

/** Sets a part of an object, and makes the objects on the way. */
export function setInside(
  target: Record<string, unknown>,
  path: readonly string[],
  value: unknown,
): void {
  const [name = '', ...rest] = path;
  if (rest.length === 0) {
    define(target, name, value);
    return;
  }
  const held = Object.hasOwn(target, name) ? target[name] : undefined;
  const isObject = typeof held === 'object' && held !== null && !Array.isArray(held);
  const inner: Record<string, unknown> = isObject ? { ...held } : {};
  define(target, name, inner);
  setInside(inner, rest, value);
}

/** Sets a property whatever its name: `__proto__`, too. */
function define(target: object, name: string, value: unknown): void {
  Object.defineProperty(target, name, {
    ...{ value, enumerable: true, writable: true, configurable: true },
  });
}
