import type { FileSystem } from '../../core/index.ts';
import type { ConfigIssue } from '../config.ts';

/** Finds what a reference of a config stands for: of `${env:NAME}` it gets `NAME`. */
export type ConfigProvider = (
  reference: string,
) => Promise<string | undefined> | string | undefined;

/** `${env:NAME}`: a variable of the environment. */
export function envProvider(
  variables: Readonly<Record<string, string | undefined>>,
): ConfigProvider {
  return (name) => variables[name];
}

/**
 * `${file:path:key}`: a value in a file of lines `key=value`, or of a JSON object. Without a key
 * the whole file, without its last line end.
 *
 * @param check rejects if the file may not be read.
 */
export function fileProvider(
  fileSystem: Pick<FileSystem, 'readFile'>,
  check: (path: string) => Promise<void> = async () => undefined,
): ConfigProvider {
  return async (reference) => {
    const at = reference.lastIndexOf(':');
    const path = at < 0 ? reference : reference.slice(0, at);
    await check(path);
    const text = (await fileSystem.readFile(path)).toString('utf8');
    if (at < 0) return text.replace(/\r?\n$/, '');
    return valueIn(text, reference.slice(at + 1));
  };
}

function valueIn(text: string, key: string): string | undefined {
  if (text.trimStart().startsWith('{')) {
    const value: unknown = (JSON.parse(text) as Readonly<Record<string, unknown>>)[key];
    return value === undefined ? undefined : textOf(value);
  }
  for (const line of text.split(/\r?\n/)) {
    const [, name, value] = /^\s*([^=#\s][^=]*?)\s*=\s*(.*)$/.exec(line) ?? [];
    if (name === key) return value;
  }
  return undefined;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

const REFERENCE = /\$\{([\w-]+):([^}]*)\}/g;

/** True if a value stands for another one. */
export function hasReference(value: unknown): boolean {
  return JSON.stringify(value ?? null).search(REFERENCE) >= 0;
}

/** A config with what its references stand for, and those that stand for nothing. */
export async function resolveConfig(
  config: Readonly<Record<string, unknown>>,
  providers: Readonly<Record<string, ConfigProvider>>,
): Promise<{
  readonly config: Readonly<Record<string, unknown>>;
  readonly issues: readonly ConfigIssue[];
}> {
  const issues: ConfigIssue[] = [];
  const resolveText = async (field: string, text: string): Promise<string> => {
    let resolved = text;
    for (const [whole, provider = '', reference = ''] of text.matchAll(REFERENCE)) {
      const value = await valueOf(providers, provider, reference);
      if (typeof value === 'string') resolved = resolved.replace(whole, () => value);
      else issues.push({ field, problem: `${whole} ${value.problem}` });
    }
    return resolved;
  };
  const resolveValue = async (field: string, value: unknown): Promise<unknown> => {
    if (typeof value === 'string') return resolveText(field, value);
    if (Array.isArray(value)) {
      return Promise.all(value.map((each: unknown) => resolveValue(field, each)));
    }
    if (typeof value !== 'object' || value === null) return value;
    const entries = Object.entries(value).map(async ([name, each]) => {
      return [name, await resolveValue(field, each)] as const;
    });
    return Object.fromEntries(await Promise.all(entries));
  };
  const entries = Object.entries(config).map(async ([name, value]) => {
    return [name, await resolveValue(name, value)] as const;
  });
  return { config: Object.fromEntries(await Promise.all(entries)), issues };
}

async function valueOf(
  providers: Readonly<Record<string, ConfigProvider>>,
  name: string,
  reference: string,
): Promise<string | { readonly problem: string }> {
  const provider = Object.hasOwn(providers, name) ? providers[name] : undefined;
  if (provider === undefined) {
    return { problem: `names no provider; there are ${Object.keys(providers).join(', ')}` };
  }
  try {
    return (await provider(reference)) ?? { problem: 'stands for nothing' };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    return { problem: `cannot be found: ${reason}` };
  }
}
