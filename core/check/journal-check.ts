import { join } from 'node:path';
import { topicIdIn } from '../broker/data-directory.ts';
import type { ListedTopic } from '../broker/topic-list.ts';
import { PARTITION_METADATA_FILE, partitionOfDirectory } from '../log/segment/file-names.ts';
import { planRedo, type JournalPlan } from '../log/load/redo-journal.ts';
import type { FileSystem } from '../storage/file-system.ts';
import { REPAIR, type Finding } from './finding.ts';

/** What the journal keeps, and whether the next opening can bring it back. */
export async function checkJournal(
  fileSystem: FileSystem,
  directory: string,
  listed: readonly ListedTopic[],
): Promise<{ readonly plan: JournalPlan; readonly findings: readonly Finding[] }> {
  const ids = await topicIds(fileSystem, directory, listed);
  const plan = await planRedo(fileSystem, directory, (topic) => ids.get(topic));
  const { files, missing } = plan;
  if (missing === undefined) return { plan, findings: [] };
  const meaning =
    'The log does not open: the journal has what comes behind, but not what is lost. Put the ' +
    `file back from a copy, or do without; then the journal is to be moved away: ${REPAIR}`;
  const mends = files.map((file) => ({ kind: 'remove' as const, file }));
  const { file, reason } = missing;
  return { plan, findings: [{ severity: 'problem', file, what: reason, meaning, mends }] };
}

/** The topics as an opening finds them: in the list, or by their directories. */
async function topicIds(
  fileSystem: FileSystem,
  directory: string,
  listed: readonly ListedTopic[],
): Promise<ReadonlyMap<string, string>> {
  const ids = new Map<string, string>();
  for (const { name, isDirectory } of await fileSystem.list(directory)) {
    const topic = isDirectory ? partitionOfDirectory(name)?.topic : undefined;
    const path = join(directory, name, PARTITION_METADATA_FILE);
    if (topic === undefined || (await fileSystem.stat(path)) === undefined) continue;
    const id = topicIdIn((await fileSystem.readFile(path)).toString('utf8'));
    if (id !== undefined) ids.set(topic, id);
  }
  for (const { name, topicId, isDeleted } of listed) {
    if (isDeleted === true) ids.delete(name);
    else ids.set(name, topicId);
  }
  return ids;
}
