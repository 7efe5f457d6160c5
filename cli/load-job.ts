import { makeJob, type Job } from '../job/index.ts';
import {
  isConfigFile,
  loadDefault,
  loadPlugins,
  readConfigFile,
  unusable,
} from './config-files.ts';

/**
 * Loads the default export of a job file, whose TypeScript tsx compiles, or makes the job that a
 * file of YAML or JSON describes.
 *
 * @throws LogError INVALID_OPTION if there is no such file or no job in it.
 * @throws ConnectError INVALID_CONFIG with every mistake in a file of data, and its line.
 */
export async function loadJob(file: string): Promise<Job> {
  if (isConfigFile(file)) return jobIn(file);
  const job = (await loadDefault(file)) as Partial<Job> | undefined;
  if (job?.isJob === true) return job as Job;
  const reason = 'its default export is not a job; write: export default defineJob({ ... })';
  throw unusable(file, reason, 'a file whose default export is a job');
}

async function jobIn(file: string): Promise<Job> {
  const document = await readConfigFile(file);
  const { plugins: modules } = (document.content ?? {}) as { readonly plugins?: unknown };
  const plugins = await loadPlugins(file, modules);
  const made = await makeJob(document.content, { plugins });
  if ('issues' in made) throw document.invalid(made.issues);
  return made.job;
}
