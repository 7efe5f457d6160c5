import { describeJob } from '../job/index.ts';
import type { TopologyDescription } from '../streams/index.ts';
import { loadJob } from './load-job.ts';

/** How each format is printed. */
export const FORMATS = {
  text: (description) => description.toString(),
  mermaid: (description) => description.toMermaid(),
  dot: (description) => description.toDot(),
  json: (description) => `${description.toJson()}\n`,
} as const satisfies Record<string, (description: TopologyDescription) => string>;

export const DESCRIPTION_FORMATS = Object.keys(FORMATS);

/** Prints the topology of the job in a file; nothing runs, and no log is opened. */
export async function describeCommand(
  file: string,
  { format }: { readonly format: keyof typeof FORMATS },
): Promise<void> {
  process.stdout.write(FORMATS[format](describeJob(await loadJob(file))));
}
