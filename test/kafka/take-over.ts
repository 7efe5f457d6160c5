import { cpSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Replaces the broker's partitions, whose ids stay, with those of our directory; by default all.
 * Both must be stopped.
 */
export function takeOver(
  ours: string,
  theirs: string,
  isTaken: (partition: string) => boolean = () => true,
): void {
  for (const { name, isDirectory } of entriesOf(ours)) {
    if (/-offset-checkpoint$|^[.]kafka_cleanshutdown$/.test(name)) {
      cpSync(join(ours, name), join(theirs, name));
    }
    if (!isDirectory || !isTaken(name)) continue;
    for (const file of entriesOf(join(theirs, name))) {
      if (file.name !== 'partition.metadata') rmSync(join(theirs, name, file.name));
    }
    for (const file of entriesOf(join(ours, name))) {
      const to = join(theirs, name, file.name);
      if (file.name !== 'partition.metadata') cpSync(join(ours, name, file.name), to);
    }
  }
}

function entriesOf(path: string): { name: string; isDirectory: boolean }[] {
  return readdirSync(path, { withFileTypes: true }).map((entry) => {
    return { name: entry.name, isDirectory: entry.isDirectory() };
  });
}
