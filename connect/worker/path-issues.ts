import type { StandardSchema } from '../../core/index.ts';
import { asError } from '../../core/internal.ts';
import type { ConfigFields, ConfigIssue } from '../config.ts';
import { checkAllowed } from '../file/allowed-roots.ts';
import { hasReference } from './providers.ts';

/** The config of a plugin, before and after its references were resolved, and what may be in it. */
interface ConfigWithPaths {
  readonly raw: Readonly<Record<string, unknown>>;
  readonly resolved: Readonly<Record<string, unknown>>;
  readonly schema: StandardSchema<unknown>;
}

/** The paths of a config that lead elsewhere than below the roots; undefined allows all. */
export async function pathIssues(
  { raw, resolved, schema }: ConfigWithPaths,
  roots: readonly string[] | undefined,
): Promise<ConfigIssue[]> {
  if (roots === undefined) return [];
  const issues: ConfigIssue[] = [];
  for (const [name, { type }] of Object.entries(fieldsOf(schema))) {
    const path = Object.hasOwn(resolved, name) ? resolved[name] : undefined;
    if (type !== 'path' || typeof path !== 'string' || path === '') continue;
    try {
      await checkAllowed(path, roots);
    } catch (cause) {
      // What a reference stands for may be a secret.
      const problem = hasReference(raw[name])
        ? `what ${String(raw[name])} stands for is not an allowed path`
        : asError(cause).message;
      issues.push({ field: name, problem: `${problem} (PATH_NOT_ALLOWED)` });
    }
  }
  return issues;
}

/** What a schema tells of its fields; nothing of one that is not made of them. */
function fieldsOf(schema: StandardSchema<unknown>): ConfigFields {
  return 'fields' in schema ? (schema.fields as ConfigFields) : {};
}
