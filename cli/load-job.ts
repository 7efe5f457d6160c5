import { existsSync } from 'node:fs';
import { register } from 'node:module';
import { extname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { LogError } from '../core/index.ts';
import type { Job } from '../job/index.ts';

/**
 * Loads the default export of a job file; tsx compiles TypeScript.
 *
 * @throws LogError INVALID_OPTION if there is no such file or no job in it.
 */
export async function loadJob(file: string): Promise<Job> {
  const path = resolve(file);
  if (!existsSync(path)) throw notAJob(file, 'there is no such file');
  if (/\.[cm]?tsx?$/.test(path)) await registerTypeScript();
  const loaded = (await import(pathToFileURL(path).href)) as { readonly default?: Partial<Job> };
  const job = loaded.default;
  if (job?.isJob === true) return job as Job;
  throw notAJob(file, 'its default export is not a job; write: export default defineJob({ ... })');
}

/** Lets modules in TypeScript be imported from here on. */
export async function registerTypeScript(): Promise<void> {
  const tsx = await import('tsx/esm/api');
  tsx.register();
  register(`./typescript-hooks${extname(import.meta.url)}`, import.meta.url);
}

function notAJob(file: string, reason: string): LogError {
  const allowed = 'a file whose default export is a job';
  return new LogError('INVALID_OPTION', `${file} cannot be used: ${reason}`, {
    option: 'file',
    value: file,
    allowed,
  });
}
