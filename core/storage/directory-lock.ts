import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LogError } from '../errors.ts';
import { storageFailure } from './failure.ts';
import type { FileSystem } from './file-system.ts';
import { errnoOf } from './node-fs.ts';

export const LOCK_FILE = '.lock';
const TAKEOVER_FILE = '.lock.takeover';

/** Who holds a data directory, as it stands in the lock file. */
interface LockOwner {
  readonly pid: number;
  /** Tells a process from a later one with the same pid; empty where the system does not say. */
  readonly startedAt: string;
  /** Tells two openings by one process apart. */
  readonly token: string;
}

/**
 * Takes a data directory for this process: two writers would destroy it. The lock file names its
 * owner; the lock of a process that is gone is taken over. Returns the function that gives it back.
 *
 * Processes are told apart by pid, so every process that may open the directory must share one pid
 * namespace: not two containers on one volume.
 *
 * @param token that no other opening uses.
 * @throws LogError LOG_LOCKED with the owner's pid; KAFKA_STORAGE_ERROR, DISK_FULL
 */
export async function lockDirectory(
  fileSystem: FileSystem,
  directory: string,
  token: string,
): Promise<() => Promise<void>> {
  const lock = join(directory, LOCK_FILE);
  const takeover = join(directory, TAKEOVER_FILE);
  const me: LockOwner = { pid: process.pid, startedAt: startOf(process.pid, fileSystem), token };
  const content = Buffer.from(JSON.stringify(me));
  try {
    if (!(await createIfAbsent(fileSystem, lock, content))) {
      await refuseWhileAlive(fileSystem, lock, directory);
      // The owner is gone. Whoever creates the takeover file may replace the lock; the rename does
      // both at once. It may move another's file if a takeover died half-way: hence the last look.
      while (!(await createIfAbsent(fileSystem, takeover, content))) {
        await refuseWhileAlive(fileSystem, takeover, directory);
        await fileSystem.remove(takeover).catch(ignoreAbsence);
      }
      const owner = await readOwner(fileSystem, lock);
      if (owner !== undefined && isAlive(owner, fileSystem)) {
        await fileSystem.remove(takeover).catch(ignoreAbsence);
        throw locked(directory, owner);
      }
      await fileSystem.rename(takeover, lock).catch(ignoreAbsence);
    }
    const holder = await readOwner(fileSystem, lock);
    if (holder?.token !== token) throw locked(directory, holder ?? me);
  } catch (cause) {
    throw storageFailure(lock, 'create', cause);
  }
  return async () => {
    const holder = await readOwner(fileSystem, lock);
    if (holder?.token === token) await fileSystem.remove(lock);
  };
}

async function createIfAbsent(
  fileSystem: FileSystem,
  path: string,
  content: Buffer,
): Promise<boolean> {
  try {
    await fileSystem.createExclusive(path, content);
    return true;
  } catch (cause) {
    if (errnoOf(cause) === 'EEXIST') return false;
    throw cause;
  }
}

async function refuseWhileAlive(
  fileSystem: FileSystem,
  path: string,
  directory: string,
): Promise<void> {
  const owner = await readOwner(fileSystem, path);
  if (owner !== undefined && isAlive(owner, fileSystem)) throw locked(directory, owner);
}

/**
 * The owner in a lock file; undefined for none, or for a file that names none (Kafka's is empty).
 */
async function readOwner(fileSystem: FileSystem, path: string): Promise<LockOwner | undefined> {
  try {
    const content: unknown = JSON.parse((await fileSystem.readFile(path)).toString('utf8'));
    const owner = content as Partial<LockOwner> | null;
    const { pid, startedAt, token } = owner ?? {};
    if (typeof pid !== 'number' || typeof startedAt !== 'string' || typeof token !== 'string') {
      return undefined;
    }
    return { pid, startedAt, token };
  } catch (cause) {
    if (cause instanceof SyntaxError || errnoOf(cause) === 'ENOENT') return undefined;
    throw cause;
  }
}

function isAlive({ pid, startedAt }: LockOwner, fileSystem: FileSystem): boolean {
  try {
    process.kill(pid, 0);
  } catch (cause) {
    if (errnoOf(cause) === 'ESRCH') return false; // EPERM: alive, but somebody else's
  }
  return startedAt === '' || startOf(pid, fileSystem) === startedAt;
}

/** When a process started, in a form that only this system's processes share; empty if unknown. */
function startOf(pid: number, { incarnation }: FileSystem): string {
  if (incarnation !== undefined) return `simulated:${incarnation}`;
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command may hold spaces and parentheses; the fields after its last one are plain.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return `${boot}:${fields[19] ?? ''}`;
  } catch {
    return ''; // not Linux, or the process is gone: the pid alone has to do
  }
}

function ignoreAbsence(cause: unknown): void {
  if (errnoOf(cause) !== 'ENOENT') throw cause;
}

function locked(directory: string, owner: LockOwner): LogError {
  const isOurs = owner.pid === process.pid;
  const who = isOurs ? `this process (pid ${owner.pid})` : `process ${owner.pid}`;
  const advice = isOurs
    ? 'share the open log instead of opening it again'
    : 'stop that process or use another directory';
  const message = `${directory} is in use by ${who}; ${advice}`;
  return new LogError('LOG_LOCKED', message, { directory, ownerPid: owner.pid });
}
